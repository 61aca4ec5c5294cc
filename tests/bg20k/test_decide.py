from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.alignment import Comparison
from bg20k.copies import Copies, Match
from bg20k.decide import NOTHING_KNOWN, KnownSet, decide, find_marks, split_of
from bg20k.edges import COLUMNS, Edges
from bg20k.objects import Detection
from bg20k.records import Crawl, Mark, Record
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.verdict import REASONS, STAGES, Verdict

RULES = CurationRules()
CAT = Detection("cat", 0.875, (0.25, 0.25, 0.75, 0.75))


def record(name: str, phash: int, width: int = 4000) -> Record:
    return Record(
        background_id=name,
        source=f"{name}.jpg",
        source_width=width,
        source_height=3000,
        phash=phash,
        sharpness=50.0,
        low_texture=False,
        object_score=0.0,
    )


def judge(records: Sequence[Record], rules: CurationRules, known: KnownSet = NOTHING_KNOWN) -> list[Verdict]:
    return list(decide(Crawl.of(records), rules, known))


def test_a_clean_photograph_is_kept_in_its_split() -> None:
    [verdict] = judge([record("lake", 1)], RULES)
    split = split_of("lake", 0.75)
    assert verdict == Verdict(True, "split", "kept", f"kept for {split}", 0.0, split=split)


def test_without_a_detector_the_verdict_says_so() -> None:
    [verdict] = judge([replace(record("lake", 1), object_score=None)], RULES)
    assert verdict.keep
    assert verdict.reason == "kept_unscreened"
    assert "not screened" in verdict.message
    assert verdict.score is None


def test_a_salient_object_rejects_from_the_threshold_on() -> None:
    cat = replace(record("cat", 1), object_score=0.25, salient=CAT)
    [verdict] = judge([cat], replace(RULES, salient_cost=3.0))
    message = "cat with confidence 0.88 on 25.0% of the frame; salient with a probability of 0.25"
    assert verdict == Verdict(False, "salience", "salient_object", message, 0.25)
    [verdict] = judge([cat], replace(RULES, salient_cost=2.99))
    assert (verdict.keep, verdict.reason, verdict.score) == (True, "kept", 0.25)


def test_duplicates_come_before_salience() -> None:
    keeper = replace(record("cat", 0b1000, width=5000), object_score=0.875, salient=CAT)
    copy = replace(record("copy", 0b1011), object_score=0.9, salient=CAT)
    same = replace(keeper, source="z/cat.jpg")
    verdicts = judge([copy, same, keeper], RULES)
    assert verdicts[0] == Verdict(
        False,
        "duplicates",
        "duplicate",
        "looks like cat.jpg: the perceptual hashes differ in 2 of 64 bits",
        2,
        duplicate_of="cat",
    )
    assert verdicts[1] == Verdict(
        False, "duplicates", "duplicate", "the same bytes as cat.jpg", None, duplicate_of="cat"
    )
    assert verdicts[2].reason == "salient_object"


def test_a_flag_rejects_where_the_rules_say_so_and_keeps_nobody_else_out() -> None:
    enlarged, original = record("big", 0b1, width=8000), record("true", 0b11)
    plain = judge([enlarged, original], RULES)
    assert [(v.keep, v.reason) for v in plain] == [(True, "kept"), (False, "duplicate")]
    strict = judge([replace(enlarged, refused_flag=("upscaled", 0.92)), original], RULES)
    assert [(v.keep, v.stage, v.reason, v.score) for v in strict] == [
        (False, "resolution", "upscaled", 0.92),
        (True, "split", "kept", 0.0),
    ]


KNOWN = KnownSet(
    ids=np.array([b"old", b"twin", b"grey"]),
    phashes=np.array([0b1111, 0b1111 << 20, 0xFF << 40], np.uint64),
    low_texture=np.array([False, False, True]),
)


def test_what_an_existing_set_holds_is_rejected_with_its_id() -> None:
    same = record("old", 0b1111)
    near = record("near", (0b1111 << 20) ^ 0b1, width=9000)
    flat_hash = record("alone", 0xFF << 40)
    follower = record("follower", ((0b1111 << 20) ^ 0b1) ^ (0xF << 50))
    verdicts = judge([same, near, flat_hash, follower], RULES, KNOWN)
    assert verdicts[0] == Verdict(
        False, "duplicates", "known", "the same bytes as old of the existing set", None, duplicate_of="old"
    )
    assert (verdicts[1].reason, verdicts[1].score, verdicts[1].duplicate_of) == ("known", 1, "twin")
    assert verdicts[2].keep
    assert verdicts[3].reason == "known"
    assert judge([same], RULES)[0].keep


def test_an_existing_photograph_is_no_less_known_for_having_a_twin_in_its_set() -> None:
    """Two of the set are near each other, as after a person's keep; a crawl may be near the second alone."""
    known = KnownSet(
        ids=np.array([b"a", b"b"]), phashes=np.array([0, 0b111111], np.uint64), low_texture=np.array([False] * 2)
    )
    [verdict] = judge([record("new", 0b111111111111)], RULES, known)
    assert (verdict.reason, verdict.duplicate_of) == ("known", "b")


def match(one: str, other: str, **found: Any) -> Match:
    facts = {"agreement": 0.9, "structure": 1.0, "covered": (1.0, 1.0), "inliers": 50}
    return Match(one, other, Comparison(**(facts | found)))


FAR = [0, 2**40 - 1, (2**40 - 1) << 24, 0x5555555555555555]


def test_an_altered_copy_is_rejected_and_the_message_says_by_what() -> None:
    copies = Copies([match("crop", "whole", covered=(1.0, 0.5), beyond=(0.0, 0.4), mirrored=True)])
    whole, crop = record("whole", FAR[0]), record("crop", FAR[1])
    verdicts = list(decide(Crawl.of([crop, whole]), RULES, copies=copies))
    message = "shows the same as whole.jpg: mirrored, aligned by 50 local features, 90% of the structure agrees"
    assert verdicts[0] == Verdict(
        False, "duplicates", "altered", f"{message} on 100% of the frame", 0.9, duplicate_of="whole"
    )
    assert verdicts[1].keep  # it shows more, and is as large


def test_a_chain_of_copies_keeps_its_best_photograph_in_any_order() -> None:
    copies = Copies([match("light", "dim"), match("dim", "colour")])
    photos = [
        record("light", FAR[0], width=3000),
        replace(record("dim", FAR[1], width=5000), grey=True),
        record("colour", FAR[2], width=4000),
    ]
    for order in permutations(photos):
        verdicts = {
            r.background_id: v for r, v in zip(order, decide(Crawl.of(order), RULES, copies=copies), strict=True)
        }
        assert [name for name, verdict in verdicts.items() if verdict.keep] == ["colour"]
        assert {verdicts[name].duplicate_of for name in ("light", "dim")} == {"colour"}
        assert verdicts["light"].message.endswith("; of that one colour.jpg is kept or judged")


def test_an_altered_copy_of_an_existing_photograph_is_rejected() -> None:
    copies = Copies([match("new", "old"), match("old", "twin")])
    [verdict] = decide(Crawl.of([record("new", FAR[1])]), RULES, KNOWN, copies)
    assert (verdict.reason, verdict.duplicate_of, verdict.score) == ("altered", "old", 0.9)
    assert "shows the same as old of the existing set" in verdict.message


def test_what_follows_a_rejected_leader_matches_in_its_place() -> None:
    copies = Copies([match("leader", "crop")], {"follower": "leader"})
    photos = [record("follower", FAR[0] ^ 1, width=5000), record("crop", FAR[1])]
    verdicts = list(decide(Crawl.of(photos), RULES, copies=copies))
    assert [v.reason for v in verdicts] == ["kept", "altered"]
    assert verdicts[1].duplicate_of == "follower"


def test_copies_of_copies_name_the_one_that_is_kept() -> None:
    photos = [record("k", FAR[0], 4400), record("l", FAR[1], 4300), record("f", FAR[1] ^ 1, 4200)]
    copies = Copies([match("k", "l")], {"f": "l"})
    for order in permutations(photos):
        found = {r.background_id: v for r, v in zip(order, decide(Crawl.of(order), RULES, copies=copies), strict=True)}
        assert [(found[name].reason, found[name].duplicate_of) for name in "lf"] == [
            ("altered", "k"),
            ("duplicate", "k"),
        ]
        assert found["f"].score == 1
        assert found["f"].message.startswith("looks like l.jpg: the perceptual hashes differ in 1 of 64 bits")
        assert found["f"].message.endswith("; of that one k.jpg is kept or judged")


def test_copies_of_a_copy_of_an_existing_photograph_are_known() -> None:
    known = KnownSet(ids=np.array([b"old"]), phashes=np.array([FAR[3]], np.uint64), low_texture=np.array([False]))
    photos = [record("l", FAR[1], 4300), record("f", FAR[1] ^ 1, 4200)]
    verdicts = list(decide(Crawl.of(photos), RULES, known, Copies([match("l", "old")], {"f": "l"})))
    assert [(v.reason, v.duplicate_of, v.score) for v in verdicts] == [("altered", "old", 0.9), ("known", "old", 1)]


def test_copies_of_a_refused_photograph_are_still_one_picture() -> None:
    refused = replace(record("whole", FAR[0], 4400), refused_flag=("shared_mark", 3.0))
    photos = [refused, record("left", FAR[1], 4300), record("right", FAR[2], 4200)]
    copies = Copies([match("left", "whole"), match("right", "whole")])
    for order in permutations(photos):
        found = {r.background_id: v for r, v in zip(order, decide(Crawl.of(order), RULES, copies=copies), strict=True)}
        assert {name: v.reason for name, v in found.items()} == {
            "whole": "shared_mark", "left": "kept", "right": "altered"
        }  # fmt: skip
        assert found["right"].duplicate_of == "left"
        assert found["right"].message.startswith("shows the same as whole, which was refused, as left.jpg does: ")


def test_refused_flags_come_before_altered_copies() -> None:
    photos = [replace(record("whole", FAR[0]), refused_flag=("upscaled", 0.01)), record("crop", FAR[1])]
    verdicts = list(decide(Crawl.of(photos), RULES, copies=Copies([match("crop", "whole")])))
    assert [v.reason for v in verdicts] == ["upscaled", "kept"]


def embedded(name: str, phash: int, angle: float, **facts: Any) -> Record:
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return replace(record(name, phash), embedding=vector, **facts)


def test_embeddings_find_what_hashes_do_not() -> None:
    keeper = embedded("keeper", 0, 0.0, source_width=5000)
    crop = embedded("crop", 2**40 - 1, 0.1)
    stranger = embedded("stranger", (2**40 - 1) << 24, 1.0)
    flats = [embedded(f"flat{n}", 0, 0.0, low_texture=True) for n in range(2)]
    verdicts = judge([crop, *flats, stranger, keeper], RULES)
    assert [v.reason for v in verdicts] == ["similar", "kept", "kept", "kept", "kept"]
    assert verdicts[0].duplicate_of == "keeper"
    assert verdicts[0].score == pytest.approx(np.cos(0.1), abs=1e-6)
    assert all(v.keep for v in judge([crop, keeper], replace(RULES, cosine=0.999)))


def test_the_class_free_network_rejects_what_no_class_is_known_for() -> None:
    statue = replace(record("statue", 1), object_score=0.5, saliency=Saliency(0.9, 0.2, 0.875))
    [verdict] = judge([statue], RULES)
    assert (verdict.keep, verdict.stage, verdict.reason) == (False, "salience", "salient_region")
    message = "something stands out on 20.0% of the frame, of compactness 0.88; salient with a probability of 0.50"
    assert (verdict.score, verdict.message) == (0.5, message)
    [both] = judge([replace(statue, salient=CAT)], RULES)
    assert both.reason == "salient_object"


def test_no_records() -> None:
    assert judge([], RULES) == []


scores = st.one_of(st.none(), st.floats(0, 1))
records = st.lists(
    st.builds(
        lambda n, phash, score: replace(record(f"id{n}", phash), object_score=score, salient=CAT if score else None),
        st.integers(0, 9_999),
        st.integers(0, 2**9),
        scores,
    ),
    max_size=12,
    unique_by=lambda r: r.background_id,
)


@pytest.mark.slow
@given(records, st.randoms(use_true_random=False))
def test_verdicts_follow_their_photograph_in_any_order(crawl: list[Record], random: object) -> None:
    verdicts = dict(zip((r.source for r in crawl), judge(crawl, RULES), strict=True))
    shuffled = sorted(crawl, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert dict(zip((r.source for r in shuffled), judge(shuffled, RULES), strict=True)) == verdicts
    for verdict in verdicts.values():
        assert verdict.stage in STAGES
        assert verdict.reason in REASONS
        assert (verdict.split is not None) == verdict.keep
        if verdict.duplicate_of:
            assert verdicts[f"{verdict.duplicate_of}.jpg"].reason != "duplicate"


class OneMark:
    """Edges of a mark on every photograph but some, and no others."""

    def __init__(self, without: Sequence[int] = ()) -> None:
        self._without = without

    def __getitem__(self, row: int, /) -> Edges:
        cells = ((20 + np.arange(6))[:, None] * COLUMNS + 20 + np.arange(6)).ravel()
        return (8 * cells + cells % 4)[: 0 if row in self._without else None]


MARKED = replace(RULES, refused_flags=("shared_mark",))


def test_a_marked_photograph_makes_room_for_a_copy_without_the_mark() -> None:
    photos = [record("a", FAR[0]), record("b", FAR[1]), record("c", FAR[2]), record("copy", FAR[2] ^ 1, width=3900)]
    crawl = Crawl.of(photos)
    plain = find_marks(crawl, OneMark(without=[3]), RULES)
    assert [one.mark for one in plain] == [*[Mark(3, "upper left")] * 3, None]
    assert [v.reason for v in decide(plain, RULES)] == ["kept", "kept", "kept", "duplicate"]
    verdicts = list(decide(find_marks(crawl, OneMark(without=[3]), MARKED), MARKED))
    assert [v.reason for v in verdicts] == [*["shared_mark"] * 3, "kept"]
    assert verdicts[0].score == 3.0
    assert verdicts[0].stage == "resolution"
    assert verdicts[0].message.endswith("(at the upper left, as in 2 other pictures of its source)")


def test_copies_are_no_different_pictures_whatever_flags_they_have() -> None:
    photos = [record("a", FAR[0]), record("b", FAR[1]), record("copy", FAR[1] ^ 1, width=3900)]
    refused = [replace(one, refused_flag=("upscaled", 0.9)) for one in photos]
    for some in (photos, refused):
        assert not any(one.mark for one in find_marks(Crawl.of(some), OneMark(), MARKED))
    altered = [record("a", FAR[0]), record("whole", FAR[1]), record("crop", FAR[2])]
    copies = Copies([match("crop", "whole")])
    assert not any(one.mark for one in find_marks(Crawl.of(altered), OneMark(), MARKED, copies=copies))
    follower = replace(record("near", FAR[2] ^ 1, width=4400), refused_flag=("upscaled", 0.9))
    chain = Copies([match("crop", "whole")], {"near": "crop"})
    for some in permutations([*altered, follower]):
        assert not any(one.mark for one in find_marks(Crawl.of(some), OneMark(), MARKED, copies=chain))


def test_marks_do_not_depend_on_the_order_of_the_records() -> None:
    photos = [record(name, FAR[n % 3] ^ (n // 3)) for n, name in enumerate("abcdef")]
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]):
        crawl = find_marks(Crawl.of([photos[n] for n in order]), OneMark(), MARKED)
        assert {one.background_id: one.mark for one in crawl} == dict.fromkeys("abcdef", Mark(3, "upper left"))
