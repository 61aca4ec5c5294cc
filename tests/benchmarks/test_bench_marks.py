from __future__ import annotations

import numpy as np

from rssn.image.arrays import to_uint8
from rssn.synthetic.backgrounds import render_background
from tests.benchmarks.bench_flags import Labelled
from tests.benchmarks.bench_marks import (
    Drawing,
    Half,
    cost_lines,
    drawings,
    one_source,
    real_lines,
    recall_lines,
    strangers,
)


def test_marks_are_drawn_where_they_say_as_strongly_as_they_say() -> None:
    grey = np.full((1080, 1440, 3), 100, np.uint8)
    marks = [*drawings()]
    assert [mark.name for mark in marks[:2]] == ["text at the lower right", "logo at the lower right"]
    assert {mark.place for mark in marks} == {"lower right", "middle", "upper left"}
    square = Drawing("square", np.ones((40, 60), np.float32), 250, "lower right")
    changed = square.put(grey, 0.5)
    y, x = np.nonzero((changed != grey).any(axis=2))
    assert (y.min(), y.max(), x.min(), x.max()) == (1010, 1049, 1350, 1409)
    assert np.unique(changed).tolist() == [100, 175]


def test_rates_count_marked_and_other_photographs_of_each_source() -> None:
    scenes = [to_uint8(render_background(seed, 1440, 1080)) for seed in range(4)]
    half = Half.of(scenes, [next(drawings())])
    [opaque, *_] = recall_lines("half", half)
    assert opaque.startswith("half, opacity 1.0: 3 of 20: 1.00, 5 of 20: 1.00, 10 of 20: ")
    assert opaque.endswith("; false alarms 0 of 4")  # one of four sources


def test_what_is_flagged_is_said_with_its_label() -> None:
    stamp = next(drawings())
    scenes = [to_uint8(render_background(seed, 1440, 1080)) for seed in range(4)]
    found = [
        Labelled({"set": "crawl", "file": f"{n}.jpg", "overlay": "text" if n < 3 else ""}, pixels, {})
        for n, pixels in enumerate([*(stamp.put(scene, 1.0) for scene in scenes[:3]), scenes[3]])
    ]
    said = [*real_lines(found)]
    assert said[:3] == [
        "photos as one source (0): 0 flagged, 0 of those have nothing put on them",
        "crawl as one source (4): 3 flagged, 0 of those have nothing put on them",
        "  0.jpg: at the lower right, as in 2 other pictures of its source (text)",
    ]
    assert one_source([*strangers(scenes, 8)]) == {}
    cost, many = cost_lines(found, 200)
    assert cost.startswith("CPU time of the edges per photograph: ")
    assert many.endswith("marked 5 of 5 and 0 others")
