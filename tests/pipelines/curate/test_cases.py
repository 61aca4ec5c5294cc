"""Photographs as people have them, through the whole curation; see the cases' own README for what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from bg20k.rules import CurationRules
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.dataset.rows import iter_rows

RULES = CurationRules(min_side=240)
KEPT = "kept_unscreened"


def verdicts(photos: Path, out: Path, rules: CurationRules = RULES) -> dict[str, dict[str, Any]]:
    run_curation(CurationJob(photos, out, rules, None, ErrorBudget()), LocalRunner())
    return {Path(row["source"]).stem: row for row in iter_rows(out / "verdicts.parquet")}


def test_damage_that_still_decodes_is_refused_and_oddities_are_kept(shared: Path, tmp_path: Path) -> None:
    found = verdicts(shared / "cases/07-corrupt-jpeg/photos", tmp_path / "out")
    assert {name[0]: row["reason"] for name, row in found.items()} == {
        "a": KEPT, "b": "damaged", "c": "damaged", "d": "truncated", "e": KEPT, "f": "damaged", "h": "truncated",
        "i": KEPT,
    }  # fmt: skip
    refused = [row for path in (tmp_path / "out/rejects").glob("*") for row in iter_rows(path)]
    assert len(refused) == 5
    assert all(row["thumbnail"] for row in refused)  # what is left of it, to look at


def test_odd_photographs(shared: Path, tmp_path: Path) -> None:
    found = verdicts(shared / "cases/20-curation/photos", tmp_path / "out")
    copies = ("a", "a_gray", "a_half_size", "a_rot90_exif")  # the last stored on its side, and it says so
    (kept,) = (name for name in copies if found[name]["keep"])
    assert kept in ("a", "a_rot90_exif")
    refused = {name: row["reason"] for name, row in found.items() if not row["keep"]}
    assert refused == {
        **{name: "duplicate" for name in copies if name != kept},
        **dict.fromkeys(("a_mirrored", "a_rot180_pixels", "a_rot90_pixels"), "altered"),
        **dict.fromkeys(("la", "mpo_phone"), "altered"),  # the same pattern, shifted
        "anim": "animated",
        "logo_transparent": "transparent",
        "sticker_all_transparent": "transparent",
    }
    assert {found[name]["duplicate_of"] for name in copies if name != kept} == {found[kept]["background_id"]}
    assert "97.9% of it is transparent" in found["logo_transparent"]["message"]
    assert "100.0% of it is transparent" in found["sticker_all_transparent"]["message"]
    flags = {name: row["flags"] for name, row in found.items() if row["flags"]}
    empty = ("black0", "black1", "black2", "white")  # and the panorama is made of nine equal parts
    assert flags == {"pano": ["panorama", "collage"]} | {name: ["empty_picture"] for name in empty}
    assert (found["mpo_phone"]["format"], found["mpo_phone"]["converted"]) == ("MPO", [])
    assert found["gif_named"]["converted"] == ["palette", "mislabelled"]
    assert found["la"]["converted"] == ["grey", "alpha"]  # all of it opaque
    assert {name for name, row in found.items() if row["grey"] and not row["flags"]} == {"a_gray", "la"}


def test_empty_pictures_are_refused_where_the_rules_say_so(shared: Path, tmp_path: Path) -> None:
    rules = CurationRules(min_side=240, refused_flags=("empty_picture",))
    found = verdicts(shared / "cases/20-curation/photos", tmp_path / "out", rules)
    empty = {name: row["stage"] for name, row in found.items() if row["reason"] == "empty_picture"}
    assert empty == dict.fromkeys(("black0", "black1", "black2", "white"), "resolution")


@pytest.mark.parametrize("larger", [False, True])
def test_of_copies_the_one_with_colours_is_kept(shared: Path, tmp_path: Path, larger: bool) -> None:
    photos = shared / "cases/23-real-duplicates/photos"
    if larger:  # the grey copy is a JPEG of three channels and has more pixels than the original
        photos = tmp_path / "photos"
        photos.mkdir()
        with PillowImage.open(shared / "cases/23-real-duplicates/photos/a.jpg") as original:
            original.save(photos / "a.jpg", quality=95)
            grey = original.convert("L").convert("RGB")
            grey.resize((1215, 1620)).save(photos / "grey.jpg", quality=95)
    found = verdicts(photos, tmp_path / "out")
    assert (found["grey"]["reason"], found["grey"]["grey"]) == ("duplicate", True)
    (kept,) = (name for name, row in found.items() if row["keep"])
    assert found["grey"]["duplicate_of"] == found[kept]["background_id"]
    assert not found[kept]["grey"]
    if larger:
        assert kept == "a"
    else:  # of the mirrored and turned ones that have as many pixels, the least compressed
        assert kept == max(("a", "mirror", "rot180", "rot90"), key=lambda name: float(found[name]["bits_per_pixel"]))
        assert {found[name]["reason"] for name in {"a", "mirror", "rot180", "rot90"} - {kept}} == {"altered"}
