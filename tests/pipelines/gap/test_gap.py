"""`rssn gap` as a user runs it: on rows that are written here, and on folders of photographs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.gap.job import notes
from pipelines.gap.result import Read
from pipelines.gap.sources import open_photographs, open_set
from pipelines.gap.table import largest
from rssn.dataset.manifest import Manifest, plan_digest, write_manifest
from rssn.dataset.schema import picture, with_steps
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.gap.cues import CUES
from rssn.gap.letters import CueDistance
from rssn.gap.pictures import Measured, Named, Pictures, measure_picture
from rssn.gap.ranking import Ranking
from rssn.image.arrays import Pixels, encode_jpeg, encode_png
from rssn.storage.files import content_id
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath
from tests.bucket import Store

pytest.importorskip("sklearn")

SIZE = (160, 128)  # width, height
GROUPS = 6


def pixels(number: int, noise: float, size: tuple[int, int] = SIZE) -> Pixels:
    """A scene with a camera's noise, and with more of it on the half that is B."""
    dice = np.random.default_rng(number)
    coarse = dice.normal(120, 25, (size[1] // 6, size[0] // 6, 3))
    plane = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) + dice.normal(
        0, dice.uniform(1, 3), (*size[::-1], 3)
    )
    plane[:, size[0] // 2 :] += dice.normal(0, noise, plane[:, size[0] // 2 :].shape)
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


@cache
def alpha(size: tuple[int, int] = SIZE) -> Pixels:
    left = np.where(np.arange(size[0]) < size[0] // 2, 255, 0).astype(np.uint8)
    return np.tile(left, (size[1], 1))


def photograph(number: int, size: tuple[int, int] = SIZE) -> tuple[bytes, bytes]:
    return encode_png(pixels(number, 0, size)), encode_png(alpha(size))


def write_photographs(root: Path, count: int = GROUPS, size: tuple[int, int] = SIZE) -> Path:
    for number in range(count):
        for folder, data in zip(("original", "mask"), photograph(number, size), strict=True):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / f"{number}.png").write_bytes(data)
    return root


RECIPE = {"name": "made", "k": 2, "steps": [{"match-grain": {"probability": 1.0}}, "blend"]}


def rows(noise: float, k: int, count: int = GROUPS, merged: int = 0) -> Iterator[dict[str, Any]]:
    for number in range(count):
        group = content_id(*photograph(number))
        for index in range(k):
            data = encode_png(pixels(100 + 10 * number + index, noise))
            other = "f" * 20 if index < merged else None
            yield {
                "sample_id": f"{group}/{index}",
                "image": picture(data, "image.png"),
                "alpha": picture(encode_png(alpha()), "alpha.png"),
                "foreground_id": group,
                "foreground_source": f"original/{number}.png",
                "background_source": f"{index}.jpg",
                "k": index,
                "steps": {"merge": {"other_id": other} if other else None},
            }


MERGE = {"merge": pa.struct([("other_id", pa.string())])}


def write_set(
    root: Path, written: Iterable[dict[str, Any]], shards: int = 2, refused: Sequence[dict[str, Any]] = ()
) -> Path:
    plan = {"kind": "composites", "seed": 0, "recipe": RECIPE}
    folder, everything = DatasetFolder(root, plan_digest(plan)), list(written)
    root.mkdir(parents=True)
    size = -(-len(everything) // shards)
    for index in range(shards):
        part = everything[index * size : (index + 1) * size]
        write_shard(
            folder, shard_name("composites", index, shards), with_steps(MERGE), part, refused if not index else []
        )
    write_manifest(root, Manifest(plan, plan_digest(plan), totals={"rows": len(everything), "rejected": 0}))
    return root


def measured() -> Pictures:
    found: list[Measured] = [measure_picture(pixels(0, 0), alpha(), Named("a", "g"))]
    return Pictures.of(found)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["gap", *map(str, arguments)])
    assert "Traceback" not in done.output, done.output
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_photographs(tmp_path / "photos")
    write_set(tmp_path / "clean", rows(0, 2))
    write_set(tmp_path / "noisy", rows(20, 2))
    return tmp_path


def figures(out: str = "out") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(out, "gap.json").read_text())
    return found


@pytest.mark.slow
def test_it_says_which_set_is_nearer_and_why(folder: Path) -> None:
    code, text = run("clean", "noisy", "--real", "photos", "--out", "out")
    assert code == 0, text
    found = figures()
    assert found["sets"]["noisy"]["distance"]["value"] > 0.95
    assert found["sets"]["clean"]["distance"]["value"] < 0.8
    assert "the largest cue is noise (chroma noise)" in found["sets"]["noisy"]["largest"]
    assert "other values of match-grain(sigma), or add denoise(sigma)" in found["sets"]["noisy"]["largest"]
    noise = found["sets"]["noisy"]["cues"]["chroma noise"]
    assert (noise["side"], noise["stands_out"]) == ("below", True)
    assert noise["deviations"] > found["sets"]["noisy"]["deviations_by_chance"]
    assert found["sets"]["noisy"]["recipe"]["name"] == "made"
    assert found["sets"]["noisy"]["shared_foregrounds"] == 6
    assert "noisy: 12 composites of 6 foregrounds, of which the photographs show 6" in text
    assert {key: found["photographs"][key] for key in ("pictures", "foregrounds")} == {"pictures": 6, "foregrounds": 6}
    changes = {each["figure"]: each for each in found["differences"]}
    assert changes["cue strength"]["differs"]
    assert changes["distance"]["value"] > 0.2
    assert found["sets"]["noisy"]["distance_by_letter"]["noise"]["value"] > 0.95
    assert found["versions"]["scikit-learn"]
    assert "noisy: the largest cue is noise" in text
    assert "cue strength, different: clean to noisy +" in text
    assert "NOTE: as few as 6 foregrounds: intervals are rough below 10" in text
    page = Path("out/gap.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 2 * 6
    assert page.count("data:image/png;base64,") == 15
    assert 'alt="noise: noise. sigma of luma' in page
    assert ": 3.png on 1.jpg</figcaption>" in page
    for words in (
        "photos; 6 pictures of 6 foregrounds",
        "<th>--at</th><td>1</td>",
        "<th>--seed</th><td>0</td>",
        "made@",
    ):
        assert words in page
    assert "http" not in page, "the page needs no other file"


@pytest.mark.parametrize(
    ("cue", "chance", "words"),
    [
        ("mean Cb", 2.0, "other values of harmonise(strengths) (in neither figure)"),
        ("noise", 2.0, "add match-grain(sigma), or add denoise(sigma)"),
        ("noise", 4.0, ""),
    ],
)
def test_the_largest_cue_is_named_where_it_stands_out(cue: str, chance: float, words: str) -> None:
    row = next(one for one in CUES if one.name == cue)
    ranking = Ranking([CueDistance(row, 3.0, 9.0, 1.0, (1.0, 1.0))], chance)
    given: Any = SimpleNamespace(rankings={"a": ranking}, steps=lambda _: ("harmonise",))
    if words:
        numbers = "F minus B is +9.00, above the photographs' +1.00, 3.0 of their deviations"
        assert largest(given, "a") == f"the largest cue is {row.letter} ({cue}): {numbers}; {words}"
    else:
        off = "is 3.0 deviations off; by chance it is up to 4.0"
        assert largest(given, "a") == f"no cue stands out: the farthest, noise (noise), {off}"


@pytest.mark.slow
def test_features_of_every_picture_are_kept(folder: Path) -> None:
    run("noisy", "--real", "photos", "--out", "out")
    table = pq.read_table("out/gap.parquet").to_pylist()
    assert [row["set"] for row in table] == ["noisy"] * 12 + ["photographs"] * 6
    first, last = table[0], table[-1]
    assert (first["width"], first["height"], first["foreground_patches"], first["background_patches"]) == (
        160,
        128,
        8,
        8,
    )
    assert np.exp(first["noise B"]) == pytest.approx(20 * np.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.1)
    assert first["noise F-B"] == pytest.approx(first["noise F"] - first["noise B"], abs=1e-5)
    assert dict(first["scores"])["noisy"] > 0 > dict(last["scores"])["noisy"]
    assert {row["foreground_id"] for row in table[:12]} == {row["foreground_id"] for row in table[12:]}, (
        "one id by content"
    )


def written() -> dict[str, bytes]:
    """All of it but the page's date."""
    day = re.compile(rb"\d{4}-\d\d-\d\d, by rssn")
    return {path.name: day.sub(b"", path.read_bytes()) for path in Path("out").iterdir()}


@pytest.mark.slow
def test_the_same_command_writes_the_same_and_only_over_its_own(folder: Path) -> None:
    arguments = ("clean", "--real", "photos", "--out", "out")
    assert run(*arguments)[0] == 0
    before = written()
    assert sorted(before) == ["gap.html", "gap.json", "gap.parquet"]
    assert run(*arguments)[0] == 0
    assert written() == before
    Path("out/notes.txt").write_text("mine")
    assert run(*arguments) == (1, "Error: out: holds other files; choose another --out\n")


@pytest.mark.parametrize("name", ["gap.json", "gap.html", "else.txt"])
def test_what_is_not_its_own_is_refused_before_anything_is_read(folder: Path, name: str) -> None:
    Path("out").mkdir()
    Path("out", name).write_text("{}")
    assert run("clean", "--real", "photos", "--out", "out") == (
        1,
        "Error: out: holds other files; choose another --out\n",
    )
    assert Path("out", name).read_text() == "{}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["nowhere", "--real", "photos"],
            "nowhere: no data set here (manifest.json is missing); SETS are what rssn compose wrote",
        ),
        (["clean", "--real", "noisy"], "noisy: holds composites, no photographs; give --real a matting data set, or"),
        (["clean", "--real", "nowhere"], "nowhere: no such folder"),
        (["clean", "clean", "--real", "photos"], "clean: given twice; leave one out"),
        (["clean", "--real", "photos", "--at", "3"], "--at is '3'; give a share of the size"),
        (["clean", "--real", "photos", "--at", "1/0"], "--at is '1/0'; give a share of the size"),
        (["clean", "--real", "photos", "--at", "nan"], "--at is 'nan'; give a share of the size"),
        (["clean", "--real", "noisy", "--alpha-scale", "255"], "--alpha-scale"),
        (
            ["clean", "--real", "photos", "--cache-dir", "there"],
            "--cache-dir has no effect here: it is for --fit; leave it out",
        ),
        (["clean", "--real", "photos", "--at", "1/8"], "0 foregrounds can be measured, the meter needs 5 or more"),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: list[str], words: str) -> None:
    code, text = run(*arguments, "--out", "out")
    assert code == 1
    assert text.splitlines()[-1].startswith("Error: ")
    assert words in text.splitlines()[-1]
    assert not Path("out").exists()


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a picture is measured."""
    monkeypatch.setattr("pipelines.gap.job.measure_picture", lambda *_: pytest.fail("the work began"))


@pytest.mark.parametrize("out", ["afile", "afile/gap", "/proc/gap/1"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    folder: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread(monkeypatch)
    Path("afile").write_text("mine")
    before = sorted(Path().rglob("*"))
    code, text = run("clean", "--real", "photos", "--out", out)
    assert code == 1
    assert text.startswith(f"Error: {out}: ")
    assert "--out" in text
    assert sorted(Path().rglob("*")) == before


def test_a_bucket_that_is_not_there_or_is_in_use_is_refused_before_the_work(
    folder: Path, s3: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread(monkeypatch)
    code, text = run("clean", "--real", "photos", "--out", "s3://nobody-made-it/gap")
    assert (code, text.count("\n"), "no such bucket; create it first" in text) == (1, 1, True)
    with hold_lease(BucketPath(f"{bucket}/gap")):
        code, text = run("clean", "--real", "photos", "--out", f"{bucket}/gap")
    assert (code, text.startswith(f"Error: {bucket}/gap: another run is at work here")) == (1, True)
    assert s3.names(bucket) == set()


def test_a_plain_gap_does_not_write_over_a_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unread(monkeypatch)
    Path("out").mkdir()
    Path("out/fit.jsonl").write_text("{}\n")
    words = "Error: out: holds a fit, whose page and figures would be lost; choose another --out\n"
    assert run("clean", "--real", "photos", "--out", "out") == (1, words)


def test_a_set_of_two_foregrounds_each_is_refused_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread(monkeypatch)
    write_set(folder / "merged", rows(0, 2, merged=2))
    words = "merged: 12 of its 12 composites show two foregrounds, which no fold could hold both; leave the set out"
    assert run("clean", "merged", "--real", "photos", "--out", "out") == (1, f"Error: {words}\n")


def test_what_was_refused_when_the_set_was_made_is_known(folder: Path) -> None:
    refused = [
        {"item_id": "a/0", "source": "a.jpg", "stage": "placement", "reason": "cut_off", "message": "is cut off"},
        {"item_id": "b", "source": "b.jpg", "stage": "background", "reason": "broken", "message": "another was drawn"},
    ]
    found = open_set(write_set(folder / "fewer", rows(0, 2), refused=refused), 500)
    assert found.chosen.refused == ["a.jpg: is cut off"]
    assert "fewer: 1 item refused when it was made, not measured; the first: a.jpg: is cut off" in list(
        notes({"fewer": Read(found, measured(), [])}, Read(found, measured(), []))
    )


def test_whether_photographs_are_jpegs_is_known(folder: Path) -> None:
    photographs = open_photographs(folder / "photos", 500, None, None)
    assert not photographs.compressed
    path = folder / "photos" / "original" / "0.png"
    path.with_suffix(".jpg").write_bytes(encode_jpeg(pixels(0, 0)))
    path.unlink()
    assert open_photographs(folder / "photos", 500, None, None).compressed


@pytest.mark.slow
@pytest.mark.parametrize("at", ["1", "3/4"])
def test_what_reads_jpegs_grid_is_in_no_ranking_where_there_is_none(folder: Path, at: str) -> None:
    code, text = run("clean", "--real", "photos", "--out", "out", "--at", at)
    assert code == 0
    why = "no photograph's file is a JPEG" if at == "1" else "JPEG's grid of 8 px is gone"
    assert f"NOTE: blocks and rounding are in no ranking: {why}" in text
    cues = figures()["sets"]["clean"]["cues"]
    assert {name for name, one in cues.items() if not one["ranked"]} == {"blocks", "rounding"}


@pytest.mark.slow
def test_what_cannot_be_measured_is_counted_and_named(folder: Path) -> None:
    Path("photos/original/3.png").write_bytes(b"no picture")
    Path("photos/original/alone.png").write_bytes(photograph(7)[0])
    code, text = run("clean", "--real", "photos", "--out", "out")
    assert code == 0
    assert (
        "NOTE: photographs: 2 pictures cannot be measured, gap.json names all; the first: original/alone.png: " in text
    )
    assert [line.partition(":")[0] for line in figures()["photographs"]["skipped"]] == ["original/alone.png", "3"]


@pytest.mark.slow
def test_a_run_that_is_not_finished_is_said(folder: Path) -> None:
    manifest = json.loads(Path("clean/manifest.json").read_text())
    Path("clean/manifest.json").write_text(json.dumps({key: manifest[key] for key in manifest if key != "totals"}))
    _, text = run("clean", "--real", "photos", "--out", "out")
    assert "NOTE: clean: its run is not finished; measured is what there is" in text


@pytest.mark.slow
def test_sets_and_photographs_may_lie_in_a_bucket(folder: Path, s3: Store, bucket: str, tmp_path: Path) -> None:
    run("noisy", "--real", "photos", "--out", "out")
    for path in (path for name in ("noisy", "photos") for path in Path(name).rglob("*") if path.is_file()):
        s3.put(f"{bucket}/{path}", path.read_bytes())
    code, text = run(f"{bucket}/noisy", "--real", f"{bucket}/photos", "--out", "remote")
    assert code == 0, text
    assert figures("remote")["sets"]["noisy"]["distance"] == figures()["sets"]["noisy"]["distance"]
    for _ in range(2):  # over its own
        code, text = run("noisy", "--real", "photos", "--out", f"{bucket}/out")
        assert (code, text.splitlines()[-1]) == (0, f"look at {bucket}/out/gap.html")
        assert s3.names(f"{bucket}/out") == {"gap.html", "gap.json", "gap.parquet"}
    for name in ("gap.json", "gap.parquet"):
        assert s3.get(f"{bucket}/out/{name}") == Path("out", name).read_bytes()
    s3.put(f"{bucket}/out/notes.txt", b"mine")
    code, text = run("noisy", "--real", "photos", "--out", f"{bucket}/out")
    assert (code, text) == (1, f"Error: {bucket}/out: holds other files; choose another --out\n")
    code, text = run(f"{bucket}/noisy", "--real", f"{bucket}/noisy", "--out", "twice")
    assert (code, f"{bucket}/noisy: holds composites, no photographs" in text) == (1, True)


@pytest.mark.slow
def test_composites_of_two_foregrounds_are_left_out(folder: Path) -> None:
    write_set(folder / "merged", rows(0, 3, merged=1))
    code, text = run("merged", "--real", "photos", "--out", "out")
    assert code == 0
    assert "NOTE: merged: 6 composites of two foregrounds left out: no fold could hold both" in text
    assert figures()["sets"]["merged"]["pictures"] == 12


@pytest.mark.slow
def test_sizes_that_differ_are_said(folder: Path) -> None:
    write_photographs(folder / "large", size=(320, 256))
    _, text = run("clean", "--real", "large", "--out", "out")
    assert (
        "NOTE: clean: sides of 143 px (square root of the area, median), the photographs 286 px; size itself is a cue, "
        "and --at shrinks both: shrink the photographs and their mattes to the others' size before" in text
    )
    _, text = run("clean", "--real", "photos", "--out", "other", "--at", "3/4")
    assert figures("other")["at"] == "3/4"
    assert pq.read_table("other/gap.parquet")["width"].to_pylist() == [120] * 18
    assert "size itself" not in text


@pytest.mark.slow
def test_a_sample_of_foregrounds_is_by_content(folder: Path) -> None:
    write_set(folder / "turned", list(rows(0, 2))[::-1])
    kept = []
    for name in ("clean", "turned"):
        _, text = run(name, "--real", "photos", "--out", name + "-out", "--foregrounds", "5")
        assert f"NOTE: {name}: a sample of 5 of 6 foregrounds" in text
        assert "NOTE: photographs: a sample of 5 of 6 foregrounds" in text
        table = pq.read_table(f"{name}-out/gap.parquet").to_pylist()
        kept.append({row["foreground_id"] for row in table})
        assert len(kept[-1]) == 5, "the same foregrounds of both sides"
        assert len(table) == 15
    assert kept[0] == kept[1]


def test_only_the_columns_that_are_needed_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    found = pq.ParquetFile.read_row_group

    def read(self: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        asked.append(list(columns))
        return found(self, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read)
    for name, decode in open_set(folder / "clean", 500).pictures():
        named, image, matte = decode()
        assert named.name == name
        assert (image.shape, matte.shape) == ((128, 160, 3), (128, 160))
    assert {name for columns in asked for name in columns} == {
        "sample_id", "foreground_id", "background_id", "image", "alpha", "steps.merge.other_id",
    }  # fmt: skip


@pytest.mark.slow
def test_photographs_may_be_packed(folder: Path) -> None:
    done = CliRunner().invoke(
        main, ["pack", "--matting", "photos", "--out", "packed", "--image-codec", "png", "--workers", "0"]
    )
    assert done.exit_code == 0, done.output
    run("noisy", "--real", "photos", "--out", "out")
    code, _ = run("noisy", "--real", "packed", "--out", "packed-out")
    assert code == 0
    assert figures("packed-out")["sets"]["noisy"]["distance"] == figures()["sets"]["noisy"]["distance"]
