from __future__ import annotations

from bg20k.candidates import examine
from rssn.image.arrays import encode_jpeg, to_uint8
from rssn.synthetic.backgrounds import render_scene
from tests.benchmarks.bench_examine import RULES, milliseconds, stages, table


def test_the_stages_are_those_of_the_curation() -> None:
    data = encode_jpeg(to_uint8(render_scene(1, 1440, 1080)))
    found = examine(data, RULES)
    work = {(group, name): one for group, name, one in stages(data, found)}
    assert work["stages", "shrink to 1080 px"]().shape == found.pixels.shape
    assert work["stages", "all of it"]()["background_id"] == found.background_id
    assert work["measures", "source_width"]() == 1440
    assert milliseconds(work["stages", "all of it"]) > milliseconds(work["measures", "source_width"])


def test_small_measures_are_counted_together() -> None:
    times = {
        ("stages", "decode"): [80.0, 100.0, 90.0],
        ("measures", "sharpness"): [4.0],
        ("measures", "width"): [0.25],
        ("measures", "height"): [0.5],
    }
    assert list(table(times)) == [
        "3 photographs; CPU-ms, median",
        "stages: decode: 90.0",
        "measures: sharpness: 4.0",
        "measures: the other 2 together: 0.8",
    ]
