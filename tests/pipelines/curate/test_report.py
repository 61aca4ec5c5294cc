from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from bg20k.measures import MEASURES
from pipelines.curate import report
from pipelines.curate.report import curation_sections
from rssn.dataset.shards import DatasetFolder
from tests.pipelines.reviewing import small, verdict, write_set

PLAIN = {"source_width": 300, "source_height": 200, "sharpness": 50.0, "object_score": 0.25, "format": "JPEG"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[float]]:
    """The values of every histogram, by its title."""
    found: dict[str, Counter[float]] = {}
    draw = report.histogram

    def spy(title: str, values: Counter[float]):
        found[title] = values
        return draw(title, values)

    monkeypatch.setattr(report, "histogram", spy)
    return found


def rows(count: int, **facts: object) -> list[dict[str, object]]:
    return [verdict(number, **(PLAIN | {"flags": [], "converted": []} | facts)) for number in range(count)]


def test_every_measure_that_is_a_float_has_a_histogram(tmp_path: Path, drawn: dict[str, Counter[float]]) -> None:
    numbers = {each.name: 0.5 for each in MEASURES if pa.types.is_floating(each.type)}
    saliency = {"confidence": 0.8, "area": 0.5, "compactness": 0.5}
    judged = [*rows(3, **numbers, saliency=saliency), small(3)]  # what could not be examined has no measures
    sections = curation_sections(DatasetFolder(write_set(tmp_path, judged, pictures=False)), [])
    assert [section.title for section in sections[:2]] == ["Resolution of the sources", "Scores"]
    scores = {name.replace("_", " "): {0.5: 3} for name in numbers} | {"object score": {0.25: 3}}
    assert {"sharpness", "aspect ratio", "upscaling score"} < scores.keys()
    assert drawn == scores | {
        "shorter side, px": {200.0: 3},
        "megapixels": {0.06: 3},
        "saliency: confidence times compactness": {0.4: 3},
    }


def test_names_and_truths_are_counted(tmp_path: Path) -> None:
    judged = rows(2, grey=True, low_texture=False, flags=["panorama"], converted=["cmyk", "icc"])
    table = curation_sections(DatasetFolder(write_set(tmp_path, judged, pictures=False)), [])[-1].table
    assert [line[:3] for line in table[1:]] == [
        ("converted", "cmyk", 2),
        ("converted", "icc", 2),
        ("flag", "panorama", 2),
        ("format", "JPEG", 2),
        ("grey", "yes", 2),
    ]
    assert table[-1][3] == "without colours, even where the file has three channels"
    assert table[3][3].startswith("so elongated that most of it is cut off")


def test_a_few_values_far_above_all_others_do_not_flatten_the_histogram(
    tmp_path: Path, drawn: dict[str, Counter[float]]
) -> None:
    judged = [*rows(199), verdict(199, **(PLAIN | {"sharpness": 90_000.0, "flags": [], "converted": []}))]
    judged[0]["sharpness"] = 99.0
    curation_sections(DatasetFolder(write_set(tmp_path, judged, pictures=False)), [])
    assert drawn["sharpness (up to 50)"] == {50.0: 200}
    judged[199]["sharpness"] = 99.0
    curation_sections(DatasetFolder(write_set(tmp_path, judged, pictures=False)), [])
    assert drawn["sharpness"] == {50.0: 198, 99.0: 2}
