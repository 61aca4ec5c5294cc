"""The order, the filters and the pages of a review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bg20k.review import Decision
from pipelines.review.log import NewDecision
from pipelines.review.queue import PAGE, Query, ReviewSet, load_review
from rssn.errors import InputError
from rssn.storage.files import write_json
from tests.pipelines.reviewing import duplicate, salient, small, verdict, write_set

ROWS = [
    verdict(0, score=0.1),  # 0.2
    salient(1, 0.75),  # 0.5
    duplicate(2, 0, 6),  # 1.0
    small(3),  # 0
    verdict(4, score=0.4375),  # 0.875
    duplicate(5, 0, None),  # 0
    verdict(6),  # 0
]
"""The comments give the uncertainty."""


def loaded(root: Path, rows: list[dict[str, Any]]) -> ReviewSet:
    write_set(root, rows, pictures=False)
    return load_review(root)


def shown(review: ReviewSet, decisions: dict[str, Decision] | None = None, **query: Any) -> list[int]:
    page = review.page(Query(**query), decisions or {})
    return [int(photo["source"][:5]) for photo in page["photos"]]


def test_the_least_certain_come_first(tmp_path: Path) -> None:
    review = loaded(tmp_path, ROWS)
    assert shown(review) == [2, 4, 1, 0, 3, 5, 6]
    values = [photo["uncertainty"] for photo in review.page(Query(), {})["photos"]]
    assert values == pytest.approx([1.0, 0.875, 0.5, 0.2, 0.0, 0.0, 0.0])


def test_a_photograph_tells_all_that_the_page_shows(tmp_path: Path) -> None:
    review = loaded(tmp_path, ROWS)
    photos = {
        photo["source"]: photo for photo in review.page(Query(), {"00000.jpg": Decision("keep", "id00000")})["photos"]
    }
    assert photos["00001.jpg"]["boxes"] == [
        {"label": "cat", "view": None, "confidence": 0.75, "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.25}
    ]
    assert photos["00001.jpg"]["keeper"] is None
    keeper = {
        "number": 3,
        "source": "00000.jpg",
        "keep": True,
        "reason": "kept",
        "choice": "keep",
        "by": "person",
        "boxes": [],
    }
    assert photos["00002.jpg"]["keeper"] == photos["00005.jpg"]["keeper"] == keeper
    assert photos["00000.jpg"]["copy_count"] == 2
    assert [copy["source"] for copy in photos["00000.jpg"]["copies"]] == ["00002.jpg", "00005.jpg"]
    assert photos["00003.jpg"]["refusal"].startswith("it cannot be kept: 640 x 480 px")
    assert photos["00005.jpg"]["refusal"].startswith("it cannot be kept twice: the same bytes as 00000.jpg")
    assert photos["00002.jpg"]["refusal"] == photos["00001.jpg"]["refusal"] == ""


def test_verdicts_without_boxes_are_shown_too(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "boxes"} for row in ROWS]
    review = loaded(tmp_path, rows)
    assert all(photo["boxes"] == [] for photo in review.page(Query(), {})["photos"])


def test_filters_go_by_the_decision_where_there_is_one(tmp_path: Path) -> None:
    review = loaded(tmp_path, ROWS)
    assert shown(review, show="keep") == [4, 0, 6]
    assert shown(review, show="reject") == [2, 1, 3, 5]
    assert shown(review, show="duplicate") == [2, 5]
    assert shown(review, show="no such reason") == []
    decisions = {"00001.jpg": Decision("keep", "id00001"), "00004.jpg": Decision("reject", "id00004")}
    assert shown(review, decisions, show="keep") == [1, 0, 6]
    assert shown(review, decisions, show="salient_object") == [1]
    assert shown(review, decisions, undecided=True) == [2, 0, 3, 5, 6]
    assert shown(review, decisions, show="keep", undecided=True) == [0, 6]
    summary = review.summary("salient_object", decisions)
    assert [(f["name"], f["count"], f["decided"]) for f in summary["filters"]] == [
        ("all", 7, 2),
        ("keep", 3, 1),
        ("reject", 4, 1),
        ("duplicate", 2, 0),
        ("salient_object", 1, 1),
        ("too_small", 1, 0),
    ]
    assert (summary["decided"], summary["all"]) == (2, 7)


def test_a_decision_about_other_bytes_counts_for_nothing(tmp_path: Path) -> None:
    review = loaded(tmp_path, ROWS)
    assert shown(review, {"00004.jpg": Decision("reject", "other")}, undecided=True) == shown(review)


def test_pages_go_on_and_back_without_gaps_while_photographs_are_decided(tmp_path: Path) -> None:
    review = loaded(tmp_path, [verdict(number) for number in range(2 * PAGE + 5)])
    first = review.page(Query(undecided=True), {})
    assert (first["first"], first["total"], len(first["photos"])) == (0, 2 * PAGE + 5, PAGE)
    decisions = {photo["source"]: Decision("keep", f"id{photo['source'][:5]}") for photo in first["photos"]}
    after = first["photos"][-1]["number"] + 1
    assert shown(review, decisions, undecided=True, start=after) == list(range(PAGE, 2 * PAGE))
    assert shown(review, decisions, start=2 * PAGE) == list(range(2 * PAGE, 2 * PAGE + 5))
    assert shown(review, decisions, start=2 * PAGE, backwards=True) == list(range(PAGE, 2 * PAGE))
    assert shown(review, decisions, start=5, backwards=True) == list(range(PAGE))


def test_an_answer_about_20000_photographs_is_small(tmp_path: Path) -> None:
    """A page costs the same for a set of any size, and for a keeper with any number of copies."""
    copies = [duplicate(number, 0, 6) for number in range(10_000, 20_000)]
    boxes = [{"label": "person", "confidence": 0.4, "x": 0.1, "y": 0.1, "width": 0.1, "height": 0.1}] * 300
    crowded = [verdict(number, score=0.49, boxes=boxes) for number in range(100)]
    review = loaded(tmp_path, crowded + [verdict(number) for number in range(100, 10_000)] + copies)
    for page in (review.page(Query(), {}), review.page(Query(start=15_000), {}), review.page(Query(show="keep"), {})):
        assert len(page["photos"]) == PAGE
        assert len(json.dumps(page)) < 400_000
    [keeper] = [p for p in review.page(Query(show="keep"), {})["photos"] if p["copy_count"]]
    assert (keeper["copy_count"], len(keeper["copies"])) == (10_000, 8)
    assert len(json.dumps(review.page(Query(start=15_000), {}))) < 40_000


def test_a_step_names_sources_and_takes_copies_along(tmp_path: Path) -> None:
    review = loaded(tmp_path, ROWS)
    numbers = {photo.source: photo.number for photo in review.photos}
    keeper = numbers["00000.jpg"]
    assert review.step({keeper: "reject"}, copies=False) == [NewDecision("00000.jpg", "id00000", "reject")]
    made = review.step({keeper: "reject"}, copies=True)
    assert [one.source for one in made] == ["00000.jpg", "00002.jpg", "00005.jpg"]
    assert review.step({numbers["00003.jpg"]: "reject"}, copies=True) == [NewDecision("00003.jpg", None, "reject")]
    with pytest.raises(InputError, match=r"00003\.jpg: it cannot be kept: 640 x 480 px"):
        review.step({numbers["00003.jpg"]: "keep"}, copies=False)
    with pytest.raises(InputError, match="no photograph has the number 7"):
        review.step({7: "keep"}, copies=False)


def test_what_is_no_finished_curation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        load_review(tmp_path)
    write_json(tmp_path / "manifest.json", {"plan": {"kind": "composites"}})
    with pytest.raises(InputError, match="a data set of composites, not of backgrounds; give what rssn build"):
        load_review(tmp_path)
    write_json(tmp_path / "manifest.json", {"plan": {"kind": "backgrounds"}})
    with pytest.raises(InputError, match="its run was interrupted"):
        load_review(tmp_path)


def test_a_finding_of_both_views_is_shown_once(tmp_path: Path) -> None:
    frame = {"label": "cat", "view": "whole", "confidence": 0.5, "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}
    surer = frame | {"view": "centre", "confidence": 0.75, "width": 0.4375}
    dog, apart = frame | {"label": "dog", "confidence": 0.625}, frame | {"view": "centre", "x": 0.75, "width": 0.25}
    review = loaded(tmp_path, [salient(0, 0.75, boxes=[frame, surer, dog, apart])])
    assert review.page(Query(), {})["photos"][0]["boxes"] == [surer, dog, apart]


MANY = [salient(n, 1.0) if n % 4 == 0 else verdict(n) for n in range(200)]
"""A crawl that the curation judges right."""


def agreeing(review: ReviewSet, count: int) -> dict[str, Decision]:
    photos = [photo for start in range(0, 200, PAGE) for photo in review.page(Query(start=start), {})["photos"]]
    made = {}
    for photo in photos[:count]:
        made[photo["source"]] = Decision("keep" if photo["keep"] else "reject", f"id{photo['source'][:5]}")
    return made


def test_after_fifty_decisions_what_the_model_knows_least_comes_first(tmp_path: Path) -> None:
    review = loaded(tmp_path, MANY)
    assert review.summary("all", agreeing(review, 49))["model"] is None
    decisions = agreeing(review, 50)
    model = review.summary("all", decisions)["model"]
    assert model["open"] == 150
    page = review.page(Query(show="learnt", start=90), decisions)
    assert (page["first"], page["total"], len(page["photos"])) == (0, 150, PAGE)
    assert not {photo["source"] for photo in page["photos"]} & decisions.keys()


def test_the_model_decides_the_clear_rest(tmp_path: Path) -> None:
    review = loaded(tmp_path, MANY)
    with pytest.raises(InputError, match="there are too few decisions to learn from; decide about 50 or more"):
        review.rest({})
    decisions = agreeing(review, 150)
    made = review.rest(decisions)
    assert len(made) == 50
    assert {one.by for one in made} == {"model"}
    assert all((one.choice == "reject") == (int(one.source[:5]) % 4 == 0) for one in made)
    everything = decisions | {one.source: Decision(one.choice, one.background_id, one.by) for one in made}
    assert review.summary("all", everything)["model"] == {"left": 0, "open": 0, "error": 0.0}
    shown_by = {photo["source"]: photo["by"] for photo in review.page(Query(), everything)["photos"]}
    assert set(shown_by.values()) == {"person"}


def test_a_rest_that_is_not_known_is_left_to_people(tmp_path: Path) -> None:
    review = loaded(tmp_path, [verdict(n, score=0.3 + n / 1000) for n in range(200)])
    decisions = {f"{n:05d}.jpg": Decision("keep" if n % 2 else "reject", f"id{n:05d}") for n in range(100, 160)}
    left = review.summary("all", decisions)["model"]["left"]
    assert left > 100
    with pytest.raises(InputError, match=f"too much is unknown: decide about {left} more"):
        review.rest(decisions)
