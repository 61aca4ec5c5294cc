from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bg20k.decide import Record, decide
from bg20k.rules import CurationRules
from bg20k.salience import Detection
from bg20k.split import split_of
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
        flat=False,
        salience=0.0,
    )


def test_a_clean_photograph_is_kept_in_its_split() -> None:
    [verdict] = decide([record("lake", 1)], RULES)
    split = split_of("lake", 0.75)
    assert verdict == Verdict(True, "split", "kept", f"kept for {split}", 0.0, split=split)


def test_without_a_detector_the_verdict_says_so() -> None:
    [verdict] = decide([replace(record("lake", 1), salience=None)], RULES)
    assert verdict.keep
    assert verdict.reason == "kept_unscreened"
    assert "not screened" in verdict.message
    assert verdict.score is None


def test_a_salient_object_rejects_from_the_threshold_on() -> None:
    cat = replace(record("cat", 1), salience=0.875, salient=CAT)
    [verdict] = decide([cat], replace(RULES, confidence=0.875))
    message = "cat with confidence 0.88 on 25.0% of the frame"
    assert verdict == Verdict(False, "salience", "salient_object", message, 0.875)
    [verdict] = decide([cat], replace(RULES, confidence=0.876))
    assert (verdict.keep, verdict.reason, verdict.score) == (True, "kept", 0.875)


def test_duplicates_come_before_salience() -> None:
    keeper = replace(record("cat", 0b1000, width=5000), salience=0.875, salient=CAT)
    copy = replace(record("copy", 0b1011), salience=0.9, salient=CAT)
    same = replace(keeper, source="z/cat.jpg")
    verdicts = decide([copy, same, keeper], RULES)
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


def test_no_records() -> None:
    assert decide([], RULES) == []


scores = st.one_of(st.none(), st.floats(0, 1))
records = st.lists(
    st.builds(
        lambda n, phash, score: replace(record(f"id{n}", phash), salience=score, salient=CAT if score else None),
        st.integers(0, 9_999),
        st.integers(0, 2**9),
        scores,
    ),
    max_size=12,
    unique_by=lambda r: r.background_id,
)


@given(records, st.randoms(use_true_random=False))
def test_verdicts_follow_their_photograph_in_any_order(crawl: list[Record], random: object) -> None:
    verdicts = dict(zip((r.source for r in crawl), decide(crawl, RULES), strict=True))
    shuffled = sorted(crawl, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert dict(zip((r.source for r in shuffled), decide(shuffled, RULES), strict=True)) == verdicts
    for verdict in verdicts.values():
        assert verdict.stage in STAGES
        assert verdict.reason in REASONS
        assert (verdict.split is not None) == verdict.keep
        if verdict.duplicate_of:
            assert verdicts[f"{verdict.duplicate_of}.jpg"].reason != "duplicate"
