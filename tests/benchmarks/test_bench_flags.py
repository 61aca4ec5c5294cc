from __future__ import annotations

from collections import Counter

import numpy as np

from rssn.image.arrays import Pixels, to_uint8
from rssn.synthetic.backgrounds import render_background
from tests.benchmarks.bench_flags import FLAGS, LABELS, Labelled, made, measure, rate_lines
from tests.pictures import read_table


def labelled(name: str, overlay: str, values: dict[str, float]) -> Labelled:
    row = {"set": "crawl", "file": name, "overlay": overlay, "scene_text": "", "kind": "photograph"}
    return Labelled(row, np.zeros((2, 2, 3), np.uint8), values)


def test_the_labels_name_each_picture_once() -> None:
    rows = read_table(LABELS)
    assert Counter(row["set"] for row in rows) == {"photos": 47, "crawl": 79}
    assert len({(row["set"], row["file"]) for row in rows}) == 126
    assert {row["overlay"] for row in rows} == {"", "text", "logo", "both"}
    assert {row["kind"] for row in rows} == {"photograph", "painting", "render", "graphic"}


def test_rates_count_what_reaches_the_limits() -> None:
    none, all_raised = dict.fromkeys(FLAGS, 0.0), dict.fromkeys(FLAGS, 10.0)
    found = [labelled(f"{n:010}.jpg", "", none) for n in range(20)]
    found += [labelled("sign.jpg", "", all_raised), labelled("logo.jpg", "both", all_raised)]
    lines = list(rate_lines([*found, labelled("x.jpg", "logo", none)]))
    assert lines[0].startswith("photographs, nothing put on them (21): drawn_on 0.048, text 0.048")
    assert lines[1].startswith("text or text and logo put on (1): drawn_on 1.000")
    assert "  text on photographs with nothing put on them: sign.jpg" in lines


def test_what_is_made_raises_its_flag() -> None:
    def plain(seed: int) -> Labelled:
        pixels: Pixels = to_uint8(render_background(seed, 1440, 1080))
        row = {"file": f"{seed}.jpg", "overlay": "", "kind": "photograph"}
        return Labelled(row, pixels, {})

    pictures = {name: measure(pixels) for name, pixels in made([plain(0), plain(2)])}
    assert len(pictures) == 11
    assert pictures["frame, JPEG 75 to 95"]["frame"] >= 0.008
    assert pictures["letterbox, JPEG 85"]["frame"] >= 0.04
    assert pictures["collage with a white gutter, JPEG 85"]["collage"] > 0.9
