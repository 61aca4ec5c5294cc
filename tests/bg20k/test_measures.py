from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import imagehash
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as PillowImage

from bg20k.candidates import examine
from bg20k.measures import CRAWL_MEASURES, MEASURES, measured, perceptual_hash
from bg20k.objects import Detection
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.schema import CANDIDATES, MEANINGS, PUBLISHED, VERDICTS
from bg20k.verdict import THRESHOLDS
from rssn.image.arrays import encode_jpeg, encode_png

RULES = CurationRules(min_side=240)


def look(data: bytes) -> dict[str, Any]:
    return measured(examine(data, RULES))


def test_the_hash_is_that_of_imagehash(render) -> None:
    grey = cv2.cvtColor(render(6, 256, 256), cv2.COLOR_RGB2GRAY)
    assert f"{perceptual_hash(grey):016x}" == str(imagehash.phash(PillowImage.fromarray(grey)))


def test_copies_hash_alike_and_strangers_do_not(render) -> None:
    original = look(encode_png(render(7, 960, 720)))
    smaller = look(encode_jpeg(render(7, 400, 300), quality=60))
    brighter = look(encode_png(np.clip(render(7, 960, 720) * 1.1, 0, 255).astype(np.uint8)))
    stranger = look(encode_png(render(8, 960, 720)))
    assert (original["phash"] ^ smaller["phash"]).bit_count() <= 6
    assert (original["phash"] ^ brighter["phash"]).bit_count() <= 6
    assert (original["phash"] ^ stranger["phash"]).bit_count() > 12


def test_sharpness_is_the_variance_of_the_laplacian(render) -> None:
    pixels = render(9, 240, 240)
    grey = np.pad(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64), 1, mode="reflect")
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    assert look(encode_png(pixels))["sharpness"] == pytest.approx(laplacian.var(), rel=1e-9)


def test_a_nearly_constant_photograph_is_flat(render) -> None:
    noise = np.random.default_rng(10).normal(128, 3, (300, 400, 3))
    sky = np.linspace(100, 110, 300)[:, None, None] + np.zeros((1, 400, 3))
    assert look(encode_jpeg(noise.astype(np.uint8)))["low_texture"]
    assert not look(encode_png(sky.astype(np.uint8)))["low_texture"]


def test_a_photograph_without_colours_is_grey_however_it_is_stored(render) -> None:
    pixels = render(3, 400, 300)
    grey = np.asarray(PillowImage.fromarray(pixels).convert("L"))
    tinted = np.dstack([grey] * 3)
    tinted[100:120, 50:80, 0] = np.minimum(tinted[100:120, 50:80, 0], 200) + 40
    assert not look(encode_png(pixels))["grey"]
    assert not look(encode_png(tinted))["grey"]
    for data in (encode_png(grey), encode_png(np.dstack([grey] * 3)), encode_jpeg(np.dstack([grey] * 3), 60)):
        assert look(data)["grey"]


def test_the_aspect_ratio_does_not_know_which_side_is_longer(render) -> None:
    for width, height in ((400, 300), (300, 400)):
        assert look(encode_png(render(1, width, height)))["aspect_ratio"] == pytest.approx(4 / 3)


def test_what_the_networks_found_is_stored_and_null_where_none_looked(render) -> None:
    photo = examine(encode_png(render(1, 400, 300)), RULES)
    assert (measured(photo)["boxes"], measured(photo)["saliency"]) == (None, None)
    found = (Detection("cat", 0.75, (0.25, 0.5, 0.75, 1.0)),)
    values = measured(replace(photo, detections=found, saliency=Saliency(0.9, 0.25, 0.5)))
    assert values["boxes"] == [
        {"label": "cat", "confidence": 0.75, "view": "whole", "x": 0.25, "y": 0.5, "width": 0.5, "height": 0.5}
    ]
    assert Detection.of_box(values["boxes"][0]) == found[0]
    assert values["saliency"] == {"confidence": 0.9, "area": 0.25, "compactness": 0.5}
    assert measured(replace(photo, detections=()))["boxes"] == []


def test_a_name_that_promises_another_format_is_a_conversion(render) -> None:
    data = encode_png(render(1, 400, 300))
    assert measured(examine(data, RULES, "a.jpg"))["converted"] == ["mislabelled"]
    assert measured(examine(data, RULES, "a.png"))["converted"] == []


def test_every_measure_fits_its_type_and_is_a_column_of_every_table(render) -> None:
    values = look(encode_png(render(1, 400, 300)))
    table = pa.table({each.name: pa.array([values[each.name]], each.type) for each in MEASURES})
    for schema in (CANDIDATES, VERDICTS, PUBLISHED):
        assert [schema.field(each.name).type for each in MEASURES] == table.schema.types
    assert sorted(MEANINGS) == sorted(PUBLISHED.names)
    for schema in (VERDICTS, PUBLISHED):
        assert [schema.field(each.name).type for each in CRAWL_MEASURES] == [each.type for each in CRAWL_MEASURES]


def test_every_threshold_limits_a_measure_that_is_a_number() -> None:
    types = {each.name: each.type for each in (*MEASURES, *CRAWL_MEASURES)}
    assert {name: str(types[one.measure]) for name, one in THRESHOLDS.items()} == dict.fromkeys(THRESHOLDS, "double")
