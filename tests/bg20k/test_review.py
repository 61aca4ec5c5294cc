from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.copies import Copies
from bg20k.decide import decide, split_of
from bg20k.records import Crawl, Record
from bg20k.review import Choice, Decision, apply_review, keep_refusal, uncertainty
from bg20k.rules import CurationRules
from bg20k.verdict import REASONS, STAGES, Verdict
from tests.bg20k.test_decide import CAT, FAR, match, record

CAT_SEEN = "cat with confidence 0.88 on 25.0% of the frame; salient with a probability of 0.90"

RULES = CurationRules(salient_cost=1.0, phash_distance=6)


def near(bits: int | None) -> Verdict:
    return Verdict(False, "duplicates", "duplicate", "looks like another", bits, duplicate_of="x")


def screened(score: float | None) -> Verdict:
    if score is not None and score >= RULES.salient_limit:
        return Verdict(False, "salience", "salient_object", "cat", score)
    return Verdict(True, "split", "kept" if score is not None else "kept_unscreened", "kept", score, split="train")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (screened(0.0), 0.0),
        (screened(0.25), 0.5),
        (screened(0.4375), 0.875),
        (screened(0.5), 1.0),
        (screened(0.625), 0.75),
        (screened(1.0), 0.0),
        (screened(None), 0.5),
        (near(None), 0.0),
        (near(0), 1 / 7),
        (near(6), 1.0),
        (near(9), 1.0),
        (Verdict(False, "read", "truncated", "cut"), 0.0),
        (Verdict(False, "resolution", "too_small", "small"), 0.0),
        (Verdict(False, "review", "human", "no"), 0.0),
        (Verdict(True, "review", "kept_human", "yes", split="train"), 0.0),
        (Verdict(True, "split", "kept_instead", "kept", 0.0, split="train"), 1.0),
    ],
)
def test_uncertainty_is_the_nearness_to_the_limit(verdict: Verdict, expected: float) -> None:
    assert uncertainty(verdict, RULES) == pytest.approx(expected)


@given(st.floats(0.001, 0.999), st.floats(0, 1), st.floats(0, 1))
def test_nearer_to_the_threshold_is_never_surer(threshold: float, one: float, other: float) -> None:
    rules = replace(RULES, salient_cost=1.0 / threshold - 1.0)
    threshold = rules.salient_limit
    near_one, far = sorted((one, other), key=lambda score: abs(score - threshold))
    values = [uncertainty(Verdict(True, "split", "kept", "", score, split="train"), rules) for score in (near_one, far)]
    assert all(0.0 <= value <= 1.0 for value in values)
    if (one >= threshold) == (other >= threshold):
        assert values[0] >= values[1]


def test_what_has_no_pixels_or_is_kept_already_cannot_be_kept() -> None:
    small = Verdict(False, "resolution", "too_small", "640 x 480 px; the shorter side must have 1080 px or more")
    assert keep_refusal(small, examined=False) == f"it cannot be kept: {small.message}"
    same = Verdict(False, "duplicates", "duplicate", "the same bytes as a.jpg", None, duplicate_of="a")
    assert keep_refusal(same, examined=True) == (
        "it cannot be kept twice: the same bytes as a.jpg; decide about that one"
    )
    for verdict in (near(3), screened(0.9), screened(0.1)):
        assert keep_refusal(verdict, examined=True) == ""


def review(records: Sequence[Record], rules: CurationRules = RULES, **choices: Choice) -> dict[str, Verdict]:
    """Verdicts by name (source without suffix)."""
    ids = {r.source: r.background_id for r in records}
    decisions = {f"{name}.jpg": Decision(choice, ids[f"{name}.jpg"]) for name, choice in choices.items()}
    verdicts = apply_review(Crawl.of(records), decisions, rules, partial(decide, rules=rules))
    return {r.source.removesuffix(".jpg"): v for r, v in zip(records, verdicts, strict=True)}


def salient(one: Record, score: float = 0.9) -> Record:
    return replace(one, object_score=score, salient=CAT)


# b and c are copies of a, in this order of size; d looks like b and c, but not like a; e is another photograph
A, B, C = record("a", 0b0, 5000), record("b", 0b1111, 4000), record("c", 0b111, 3000)
D, E = record("d", 0b11111111, 2000), record("e", 0xFFFF0000, 4500)
CRAWL = [C, E, A, B]


def test_a_keep_overrules_salience_and_takes_the_split_of_its_content() -> None:
    found = review([salient(E), A], e="keep")["e"]
    split = split_of("e", RULES.train_share)
    message = f"kept for {split} by a person; before: {CAT_SEEN}"
    assert found == Verdict(True, "review", "kept_human", message, split=split)


def test_a_keep_of_a_duplicate_leaves_its_keeper_alone() -> None:
    found = review(CRAWL, b="keep")
    assert (found["b"].keep, found["b"].reason) == (True, "kept_human")
    assert (found["a"].keep, found["a"].reason) == (True, "kept")
    assert found["c"].duplicate_of == "a"


def test_a_reject_gives_the_place_to_the_next_best_copy() -> None:
    found = review(CRAWL, a="reject")
    before = f"kept for {split_of('a', RULES.train_share)}"
    assert found["a"] == Verdict(False, "review", "human", f"rejected by a person; before: {before}")
    assert (found["b"].keep, found["b"].reason) == (True, "kept_instead")
    assert found["b"].split == split_of("b", RULES.train_share)
    assert "it replaces a copy that a person rejected" in found["b"].message
    assert found["c"] == Verdict(
        False,
        "duplicates",
        "duplicate",
        "looks like b.jpg: the perceptual hashes differ in 1 of 64 bits",
        1,
        duplicate_of="b",
    )
    assert found["e"] == review(CRAWL)["e"]


def test_the_next_best_copy_is_judged_for_its_own_salience() -> None:
    found = review([A, salient(B), C], a="reject")
    assert found["b"].reason == "salient_object"
    assert found["c"].duplicate_of == "b"
    assert not any(verdict.keep for verdict in found.values())


def test_rejecting_the_copies_too_leaves_none() -> None:
    found = review(CRAWL, a="reject", b="reject", c="reject")
    assert [found[name].keep for name in "abc"] == [False, False, False]
    assert (found["b"].reason, found["b"].duplicate_of) == ("duplicate", "a")  # confirmed: as it was
    assert review(CRAWL, a="reject", b="reject")["c"].reason == "kept_instead"


def test_a_kept_copy_takes_the_place_of_a_rejected_keeper() -> None:
    found = review(CRAWL, a="reject", c="keep")
    assert (found["c"].keep, found["c"].reason) == (True, "kept_human")
    assert found["b"] == Verdict(
        False, "duplicates", "duplicate", "looks like c.jpg, which is kept already", 1, duplicate_of="c"
    )


def test_a_copy_does_not_push_out_what_stands() -> None:
    assert review([A, B, C, D])["d"].keep
    found = review([A, B, C, D], a="reject")
    assert (found["d"].keep, found["d"].reason) == (True, "kept")
    assert (found["b"].duplicate_of, found["b"].keep) == ("d", False)
    assert (found["c"].duplicate_of, found["c"].keep) == ("d", False)


def test_equal_bytes_do_not_come_in_and_are_never_kept_twice() -> None:
    again = replace(A, source="z.jpg")
    found = review([A, again], a="reject")
    assert [found[name].keep for name in ("a", "z")] == [False, False]
    found = review([A, again], z="keep")
    assert [found[name].reason for name in ("a", "z")] == ["kept", "duplicate"]
    twin = replace(B, source="y.jpg")
    found = review([A, B, twin], b="keep", y="keep")
    assert [found[name].reason for name in ("a", "b", "y")] == ["kept", "kept_human", "duplicate"]


def test_a_reject_that_agrees_changes_nothing() -> None:
    crawl = [salient(A), B, E]
    assert review(crawl, a="reject", b="reject", e="keep") == review(crawl)


def test_decisions_on_other_bytes_have_no_effect() -> None:
    judge = partial(decide, rules=RULES)
    decisions = {"a.jpg": Decision("reject", "other"), "gone.jpg": Decision("reject", "a")}
    assert [*apply_review(Crawl.of([A, B]), decisions, RULES, judge)] == [*judge(Crawl.of([A, B]))]


def test_copies_of_a_rejected_keeper_follow_the_same_one_in_any_order() -> None:
    sizes = {0: 1000, 1: 1037, 2: 1074, 3: 1010, 4: 1047, 5: 1084}
    crawl = [replace(record(f"id{n}", 0, size), source=f"{n}-{k}.jpg") for n, size in sizes.items() for k in (0, 1)]
    choices: dict[str, Choice] = {"0-0.jpg": "keep", "2-0.jpg": "reject", "5-0.jpg": "reject"}
    decisions = {source: Decision(choice, f"id{source[0]}") for source, choice in choices.items()}
    judge = partial(decide, rules=RULES)
    found = []
    for order in (crawl, crawl[::-1], crawl[5:] + crawl[:5]):
        verdicts = apply_review(Crawl.of(order), decisions, RULES, judge)
        found.append({r.source: v for r, v in zip(order, verdicts, strict=True)})
    assert found[0] == found[1] == found[2]


names = st.integers(0, 7)
crawls = st.lists(
    st.builds(
        lambda n, copy, bits, score: replace(
            record(f"id{n}", sum(1 << 3 * bit for bit in bits), 1000 + 37 * n % 101),
            source=f"{n}-{copy}.jpg",
            object_score=score,
            salient=CAT if score else None,
        ),
        names,
        st.integers(0, 1),
        st.frozensets(st.integers(0, 12), max_size=13),
        st.sampled_from([None, 0.0, 0.25, 0.75]),
    ),
    max_size=14,
    unique_by=lambda r: r.source,
).map(
    lambda crawl: [replace(r, phash=next(o.phash for o in crawl if o.background_id == r.background_id)) for r in crawl]
)
choices = st.dictionaries(
    st.builds("{}-{}.jpg".format, names, st.integers(0, 1)), st.sampled_from(["keep", "reject"]), max_size=10
)


@given(crawls, choices, st.randoms(use_true_random=False))
def test_a_review_of_any_crawl(crawl: list[Record], chosen: dict[str, Choice], random: object) -> None:
    judge = partial(decide, rules=RULES)
    ids = {r.source: r.background_id for r in crawl}
    decisions = {source: Decision(choice, ids.get(source)) for source, choice in chosen.items()}
    before = {r.source: v for r, v in zip(crawl, judge(Crawl.of(crawl)), strict=True)}
    after = {r.source: v for r, v in zip(crawl, apply_review(Crawl.of(crawl), decisions, RULES, judge), strict=True)}

    shuffled = sorted(crawl, key=lambda _: random.random())  # type: ignore[attr-defined]
    again = apply_review(Crawl.of(shuffled), decisions, RULES, judge)
    assert {r.source: v for r, v in zip(shuffled, again, strict=True)} == after

    kept = [ids[source] for source, verdict in after.items() if verdict.keep]
    assert len(set(kept)) == len(kept)
    judged = {ids[source] for source, verdict in after.items() if verdict.duplicate_of is None}
    for source, verdict in after.items():
        choice, was = chosen.get(source), before[source]
        assert verdict.stage in STAGES
        assert verdict.reason in REASONS
        assert (verdict.split is not None) == verdict.keep
        assert verdict.duplicate_of is None or verdict.duplicate_of in judged
        if choice == "reject":
            assert not verdict.keep
        elif was.keep:
            assert verdict == was
        if choice == "keep" and not verdict.keep:
            assert ids[source] in kept or (was.reason == "duplicate" and was.score is None)
    if not any(choice == "reject" and before[source].keep for source, choice in chosen.items() if source in before):
        assert all(after[s] == before[s] for s in before if chosen.get(s) != "keep")


def test_the_verdict_says_that_a_model_decided() -> None:
    decisions = {"e.jpg": Decision("reject", "e", "model"), "a.jpg": Decision("reject", "a")}
    found = list(apply_review(Crawl.of([A, E]), decisions, RULES, partial(decide, rules=RULES)))
    assert [verdict.reason for verdict in found] == ["human", "human"]
    assert found[0].message.startswith("rejected by a person; before: kept for ")
    assert found[1].message.startswith("rejected by the model of a person's decisions; before: kept for ")


def altered_copies(decisions: dict[str, Choice], *more: Record) -> dict[str, Verdict]:
    """Of `whole`, its crops `left` and `right`, and `near`, which looks like `left`; of them `whole` is kept."""
    photos = [record("whole", FAR[0], 4400), record("left", FAR[1], 4300), record("near", FAR[1] ^ 1, 4200), *more]
    copies = Copies(
        [match("left", "whole"), *(match(one.background_id, "whole", agreement=0.8) for one in more)], {"near": "left"}
    )
    made = {f"{name}.jpg": Decision(choice, name) for name, choice in decisions.items()}
    found = apply_review(Crawl.of(photos), made, RULES, partial(decide, rules=RULES, copies=copies))
    return {one.background_id: verdict for one, verdict in zip(photos, found, strict=True)}


def test_a_copy_of_a_rejected_photograph_and_of_its_copies_comes_in_alone() -> None:
    found = altered_copies({"whole": "reject"}, record("right", FAR[2], 4100))
    assert {name: verdict.reason for name, verdict in found.items()} == {
        "whole": "human", "left": "kept_instead", "near": "duplicate", "right": "altered"
    }  # fmt: skip
    assert {found[name].duplicate_of for name in ("near", "right")} == {"left"}


def test_where_a_photograph_and_its_altered_copy_are_rejected_the_next_one_comes_in() -> None:
    found = altered_copies({"whole": "reject", "left": "reject"})
    assert {name: verdict.keep for name, verdict in found.items()} == {"whole": False, "left": False, "near": True}
    assert found["near"].reason == "kept_instead"


def test_an_altered_copy_of_what_a_person_keeps_says_so() -> None:
    found = altered_copies({"whole": "reject", "right": "keep"}, record("right", FAR[2], 4100))
    assert found["right"].reason == "kept_human"
    assert (found["left"].reason, found["left"].score, found["left"].duplicate_of) == ("altered", 0.8, "right")
    assert found["left"].message == "looks like right.jpg, which is kept already"
