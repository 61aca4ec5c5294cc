from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image as PillowImage

from pipelines.commands.export import export
from pipelines.export.formats import FORMATS
from pipelines.export.job import ExportJob, run_export
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.route.recipe import Recipe
from rssn.route.steps.noise import Noise
from rssn.sources.layouts import find_pairs
from rssn.storage.lease import hold_lease

Maker = Callable[..., Path]
FOLDERS = {"image": "original", "alpha": "mask", "foreground": "fg", "background": "bg"}


def rows(dataset: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((dataset / "data").iterdir()) for row in pq.read_table(path).to_pylist()]


def content(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_folder_form_holds_the_stored_bytes_by_id_and_codec(
    fake_composites: Maker, tmp_path: Path, suffix: str
) -> None:
    dataset = fake_composites(suffix=suffix)
    done = run_export(ExportJob(dataset, tmp_path / "out", "folder"))
    expected = {
        f"{folder}/{row['foreground_id']}-{row['k']}{'.png' if column == 'alpha' else suffix}": row[column]["bytes"]
        for row in rows(dataset)
        for column, folder in FOLDERS.items()
    }
    found = content(tmp_path / "out")
    assert {name: data for name, data in found.items() if "/" in name} == expected
    assert set(found) - set(expected) == {"index.csv", "export.json"}
    assert (done.rows, done.written, done.kept) == (8, 32, 0)


def test_the_index_holds_the_light_columns(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites(recipe=Recipe("fake", k=2, steps=(Noise(),)))
    run_export(ExportJob(dataset, tmp_path / "out", "folder"))
    with (tmp_path / "out" / "index.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    stored = rows(dataset)
    assert [line["sample_id"] for line in lines] == [row["sample_id"] for row in stored]
    assert [line["key"] for line in lines] == [row["sample_id"].replace("/", "-") for row in stored]
    seeds = [str(noise["seed"]) if (noise := row["steps"]["noise"]) else "" for row in stored]
    assert [line["steps_noise_seed"] for line in lines] == seeds
    assert any(seeds)
    assert [line["foreground_licence"] for line in lines] == ["", "", "CC0", "CC0"] * 2
    assert [int(line["background_crop_x"]) for line in lines] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not {"image", "alpha", "foreground", "background"} & set(lines[0])


def test_a_folder_belongs_to_one_export_at_a_time(fake_composites: Maker, tmp_path: Path) -> None:
    job = ExportJob(fake_composites(), tmp_path / "out", "folder")
    with hold_lease(tmp_path / "out"), pytest.raises(InputError, match="out: another run is at work here"):
        run_export(job)
    assert not (tmp_path / "out").exists()
    run_export(job)
    assert ".lease.json" not in content(tmp_path / "out")


def test_a_tar_reads_back_equal_bytes(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites(suffix=".webp")
    run_export(ExportJob(dataset, tmp_path / "out", "webdataset"))
    tars = sorted((tmp_path / "out").glob("*.tar"))
    assert [tar.name for tar in tars] == ["composites-000000.tar", "composites-000001.tar"]
    found: dict[str, bytes] = {}
    for tar in tars:
        with tarfile.open(tar) as archive:
            members = archive.getmembers()
            assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
            found |= {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
        assert tar.read_bytes()[257:263] == b"ustar\0"
    assert len(found) == 5 * 8
    for row in rows(dataset):
        key = row["sample_id"].replace("/", "-")
        kinds = {"image": "webp", "alpha": "alpha.png", "foreground": "fg.webp", "background": "bg.webp"}
        assert {column: found[f"{key}.{kind}"] for column, kind in kinds.items()} == {c: row[c]["bytes"] for c in kinds}
        light = {name: value for name, value in row.items() if name not in kinds}
        assert json.loads(found[f"{key}.json"]) == light


@pytest.mark.parametrize("form", FORMATS)
def test_a_second_export_keeps_all_and_another_folder_gets_the_same_bytes(
    fake_composites: Maker, tmp_path: Path, form: str
) -> None:
    dataset = fake_composites()
    first = run_export(ExportJob(dataset, tmp_path / "one", form))
    before = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*") if path.suffix in (".jpg", ".tar")
    }
    again = run_export(ExportJob(dataset, tmp_path / "one", form))
    assert (again.written, again.kept) == (0, first.written)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    run_export(ExportJob(dataset, tmp_path / "two", form))
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("folder", "fg/*.jpg"),
        ("birefnet", "gt/*.png"),
        ("dis5k", "im/*.jpg"),
        ("rvm", "fgr/*"),
        ("webdataset", "*.tar"),
        ("hf", "data/*.parquet"),
    ],
)
def test_a_stopped_export_goes_on(fake_composites: Maker, tmp_path: Path, form: str, pattern: str) -> None:
    job = ExportJob(fake_composites(), tmp_path / "out", form)
    run_export(job)
    whole = content(job.out)
    one, two = sorted(job.out.glob(pattern))[:2]
    one.unlink()
    two.write_bytes(two.read_bytes()[:-7])
    (one.parent / f".{one.name}.123.tmp").write_bytes(b"half")
    done = run_export(job)
    assert done.written == 2
    assert content(job.out) == whole


def test_a_folder_grows_with_its_data_set_and_tars_do_not_shift(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    late = DatasetFolder(dataset).mark("composites-00001-of-00002")
    text = late.read_text()
    late.unlink()
    partial = run_export(ExportJob(dataset, tmp_path / "files", "folder"))
    assert partial.rows == 4
    assert [words.split(":")[0] for words in partial.missing] == [
        "composites-00001-of-00002",
        "composites-00001-of-00002.parquet",
    ]
    run_export(ExportJob(dataset, tmp_path / "tars", "webdataset"))
    late.write_text(text)
    grown = run_export(ExportJob(dataset, tmp_path / "files", "folder"))
    assert (grown.rows, grown.written, grown.kept) == (8, 16, 16)
    with pytest.raises(InputError, match="holds an export of other shards"):
        run_export(ExportJob(dataset, tmp_path / "tars", "webdataset"))


def test_damaged_shards_are_refused_by_name(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    path = dataset / "data" / "composites-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"nothing was exported: composites-00001-of-00002\.parquet: \d+ bytes"):
        run_export(ExportJob(dataset, tmp_path / "out", "folder"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_was_killed_at_any_moment_goes_on(fake_composites: Maker, tmp_path: Path, form: str) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "whole", form))
    whole = content(tmp_path / "whole")
    for number, name in enumerate(whole):
        out = Path(shutil.copytree(tmp_path / "whole", tmp_path / str(number)))
        if name == "export.json":  # is written before all others
            shutil.rmtree(out)
        half = (out / name).with_name(f".{Path(name).name}.7.tmp")
        half.parent.mkdir(exist_ok=True)
        half.write_bytes(b"half")
        (out / name).unlink(missing_ok=True)
        run_export(ExportJob(dataset, out, form))
        assert content(out) == whole


def test_a_folder_with_other_files_is_refused_and_left_alone(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    (tmp_path / "out" / "original").mkdir(parents=True)
    (tmp_path / "out" / "original" / "mine.jpg").write_bytes(b"mine")
    (tmp_path / "out" / "original" / ".mine.jpg.7.tmp").write_bytes(b"half")
    with pytest.raises(InputError, match="out: holds other files"):
        run_export(ExportJob(dataset, tmp_path / "out", "folder"))
    assert content(tmp_path / "out") == {"original/.mine.jpg.7.tmp": b"half", "original/mine.jpg": b"mine"}
    with pytest.raises(InputError, match="holds other files"):
        run_export(ExportJob(dataset, dataset, "folder"))


def test_a_stranger_among_the_exported_files_is_refused(fake_composites: Maker, tmp_path: Path) -> None:
    job = ExportJob(fake_composites(), tmp_path / "out", "folder")
    run_export(job)
    (job.out / "mask" / "stranger.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"mask/stranger\.png: not of this export"):
        run_export(job)


def test_the_other_form_and_another_data_set_are_refused(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "out", "folder"))
    with pytest.raises(InputError, match="holds an export as folder"):
        run_export(ExportJob(dataset, tmp_path / "out", "webdataset"))
    shutil.rmtree(dataset)
    other = fake_composites(foregrounds=3)
    with pytest.raises(InputError, match="holds an export of other shards"):
        run_export(ExportJob(other, tmp_path / "out", "folder"))


@pytest.mark.parametrize(
    "change",
    [
        {"sample_id": "../../evil/0"},
        {"sample_id": "a.b/0"},
        {"image": {"bytes": b"x", "path": "picture.exe"}},
        {"image": {"bytes": b"x", "path": None}},
    ],
)
@pytest.mark.parametrize("form", ["folder", "webdataset"])
def test_no_path_leaves_the_folder(
    write_composites: Maker, fake_composites: Maker, tmp_path: Path, form: str, change: dict[str, Any]
) -> None:
    stored = rows(fake_composites(foregrounds=1))
    stored[1].update(change)
    words = "cannot be a file name" if "sample_id" in change else r"expected a name such as photo\.jpg"
    with pytest.raises(InputError, match=words):
        run_export(ExportJob(write_composites(stored), tmp_path / "out", form))
    assert not list(tmp_path.glob("**/*evil*"))


def test_two_samples_of_one_id_are_refused(write_composites: Maker, fake_composites: Maker, tmp_path: Path) -> None:
    stored = rows(fake_composites(foregrounds=1))
    stored[1]["sample_id"] = stored[0]["sample_id"]
    with pytest.raises(InputError, match="two samples of one id"):
        run_export(ExportJob(write_composites(stored), tmp_path / "out", "folder"))


def test_backgrounds_are_plain_files_in_train_and_testval(bg20k: Path, tmp_path: Path) -> None:
    run_export(ExportJob(bg20k, tmp_path / "files", "folder"))
    run_export(ExportJob(bg20k, tmp_path / "tars", "webdataset"))
    names = {"train": "train", "validation": "testval"}
    expected = {f"{names[r['split']]}/{r['background_id']}.jpg": r["image"]["bytes"] for r in rows(bg20k)}
    found = content(tmp_path / "files")
    assert {name: data for name, data in found.items() if name.endswith(".jpg")} == expected
    assert {name.split("-")[0] for name in content(tmp_path / "tars")} == {"train", "testval", "export.json"}
    for name, data in expected.items():
        assert PillowImage.open(io.BytesIO(data)).format == "JPEG", name
    with (tmp_path / "files" / "index.csv").open(newline="") as stream:
        heading = next(csv.reader(stream))
    with tarfile.open(min((tmp_path / "tars").glob("*.tar"))) as archive:
        member = next(one for one in archive if one.name.endswith(".json"))
        light = json.load(archive.extractfile(member))  # type: ignore[arg-type]
    for names_of in (heading, light):
        assert {"phash", "sharpness"} < set(names_of)
        assert not {"prints", "sketch"} & set(names_of)


@pytest.mark.slow
def test_the_synthetic_sets_export_pairs_up_again(rssn: Any, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    job = ("--recipe", "comp-bg20k", "--k", 2, "--workers", 0, "--cache-size", 0, "--out", out)
    done = rssn("compose", "--matting", synthetic / "matting", "--backgrounds", bg20k, *job)
    assert done.returncode == 0, done.stderr
    stored = {row["sample_id"].replace("/", "-"): row for row in rows(out)}
    stored |= {row["foreground_id"]: row for row in rows(out) if row["k"] == 0}  # the recipe has no step on F
    layouts = {"folder": "am2k", "birefnet": "dis5k", "dis5k": "dis5k", "rvm": "fgr-pha"}
    for form, layout in layouts.items():
        column = "foreground" if form == "rvm" else "image"
        run_export(ExportJob(out, tmp_path / form, form))
        found = find_pairs(tmp_path / form)
        assert (found.layout, found.problems, len(found.pairs)) == (layout, [], 3 if form == "rvm" else 6)
        for pair in found.pairs:
            row, colour = stored[Path(pair.name).name], getattr(pair, column)
            assert (colour.read(), pair.alpha.read()) == (row[column]["bytes"], row["alpha"]["bytes"])


def test_the_command_says_what_it_did(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    DatasetFolder(dataset).mark("composites-00000-of-00002").unlink()
    result = CliRunner().invoke(export, [str(dataset), "--out", str(tmp_path / "out"), "--format", "webdataset"])
    assert result.exit_code == 0
    assert f"4 rows: 1 files written, 0 kept: {tmp_path / 'out'}" in result.output
    assert "not exported: composites-00000-of-00002: not made yet" in result.output


def test_a_data_set_without_marks_and_a_place_that_cannot_be_written(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: a file, not a folder"):
        run_export(ExportJob(dataset, tmp_path / "file", "folder"))
    with pytest.raises(InputError, match="Not a directory"):
        run_export(ExportJob(dataset, tmp_path / "file" / "below", "folder"))
    shutil.rmtree(dataset / "marks")
    with pytest.raises(InputError, match="nothing to export"):
        run_export(ExportJob(dataset, tmp_path / "out", "folder"))


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_a_file_of_the_right_size_and_other_content_is_written_anew(
    kind: str, fake_composites: Callable[..., Path], tmp_path: Path
) -> None:
    job = ExportJob(fake_composites(shards=2), tmp_path / "out", kind)
    run_export(job)
    (tmp_path / "out" / ".mine.tmp").write_text("not ours")
    (tmp_path / "out" / ".export.json.77.tmp").write_text("half")
    place = min(path for path in (tmp_path / "out").rglob("*") if path.suffix in (".tar", ".jpg"))
    whole = place.read_bytes()
    place.write_bytes(bytes(len(whole)))
    with pytest.raises(InputError, match=r"\.mine\.tmp: not of this export"):
        run_export(job)
    assert place.read_bytes() == whole
    assert [path.name for path in (tmp_path / "out").glob(".*")] == [".mine.tmp"]
