from __future__ import annotations

from pipelines.study.report import choose_images
from pipelines.study.results import summarise
from tests.pipelines.study.test_results import figures

ROWS = {
    "coco": {0: [90.0, 11.0, 12.0, 60.0]},
    "plain": {0: [10.0, 11.0, 30.0, 60.0]},
    "rssn": {0: [10.0, 11.0, 10.0, 61.0]},
}
LINES = summarise(figures(ROWS))


def test_pictures_are_chosen_for_what_is_compared_and_say_why() -> None:
    assert choose_images(LINES, [("plain", "rssn")], 1) == {
        "2.jpg": "differs most",
        "3.jpg": "hardest",
        "1.jpg": "easiest",
    }
    assert choose_images(LINES, [("coco", "rssn")], 1) == {
        "0.jpg": "differs most",
        "3.jpg": "hardest",
        "1.jpg": "easiest",
    }


def test_where_nothing_is_compared_the_hardest_come_first() -> None:
    assert choose_images(LINES[:1], [], 2) == {
        "0.jpg": "hardest",
        "3.jpg": "hardest",
        "1.jpg": "easiest",
        "2.jpg": "easiest",
    }
