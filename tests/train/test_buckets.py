"""Evaluating, predicting, exporting, importing and fine-tuning from and to buckets, by the commands."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from rssn.image.arrays import encode_png, to_float
from rssn.storage.atomic import write_bytes
from tests.bucket import Store
from tests.train.conftest import Scene
from tests.train.network.released import random_state, shapes
from tests.train.test_cli import call, refused, run_options
from train.checkpoint import load_checkpoint
from train.targets.rosta import make_trimap


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what is fetched once stays; commands start in an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "cache" / "rssn-objects"


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    assert call(*run_options(shards, out)).exit_code == 0
    return out / "last.pt"


@pytest.fixture
def copied(s3: Store, bucket: str) -> Callable[[Path, str], str]:
    """Copies a file, or all that lies in a folder, to a URL."""

    def copy(path: Path, name: str) -> str:
        for each in [path] if path.is_file() else path.rglob("*"):
            if each.is_file():
                below = each.relative_to(path).as_posix()
                s3.put(f"{bucket}/{name}" if each == path else f"{bucket}/{name}/{below}", each.read_bytes())
        return f"{bucket}/{name}"

    return copy


Copied = Callable[[Path, str], str]


@pytest.fixture
def listed(s3: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The listings that a store was asked for; to ask for one key, as s3fs does where an object is missing, is none."""
    asked: list[str] = []

    def meaning(method: str, target: str, _: bytes) -> tuple[str, str]:
        if "list-type" in target and "max-keys" not in target:
            asked.append(target)
        return method, unquote(target)

    monkeypatch.setattr(s3, "meaning", meaning)
    return asked


def test_eval_from_and_to_a_bucket_is_eval_here(
    s3: Store, listed: list[str], trained: Path, photographs: Path, copied: Copied, scenes: list[Scene]
) -> None:
    tmp_path = Path().resolve().parent
    here = call("eval", "--checkpoint", trained, "--data", photographs, "--out", tmp_path / "here", "--mattes")
    place, network = copied(photographs, "am2k/validation"), copied(trained, "runs/last.pt")
    for scene in scenes:
        write_bytes(tmp_path / "trimaps" / f"{scene.name}.png", encode_png(make_trimap(to_float(scene.alpha))))
    trimaps = copied(tmp_path / "trimaps", "trimaps")
    bucket = network.removesuffix("/runs/last.pt")
    listed.clear()
    there = call("eval", "--checkpoint", network, "--data", place, "--out", f"{bucket}/eval", "--mattes")
    assert (there.exit_code, there.stdout.splitlines()[:3]) == (0, here.stdout.splitlines()[:3])
    assert len(listed) == 1
    found = s3.stored(f"{bucket}/eval")
    assert set(found) == {"summary.json", "worst.png", "per_image.parquet", *(f"mattes/scene{n}.png" for n in range(4))}
    for name, data in found.items():
        if not name.endswith(".parquet"):
            assert data == (tmp_path / "here" / name).read_bytes()
    assert pq.read_table(io.BytesIO(found["per_image.parquet"])) == pq.read_table(tmp_path / "here/per_image.parquet")
    own = call("eval", "--checkpoint", network, "--data", place, "--trimaps", trimaps, "--out", f"{bucket}/own")
    assert own.exit_code == 0, own.output
    assert f"trimaps of {bucket}/trimaps" in own.stdout
    beside = call("eval", "--checkpoint", network, "--data", photographs)
    assert beside.exit_code == 0, beside.output
    assert "summary.json" in s3.names(f"{bucket}/runs/eval")
    assert list(Path().iterdir()) == []


def test_eval_on_shards_in_a_bucket(bucket: str, trained: Path, shards: Path, copied: Copied, tmp_path: Path) -> None:
    here = call("eval", "--checkpoint", trained, "--data", shards, "--out", tmp_path / "here")
    there = call("eval", "--checkpoint", trained, "--data", copied(shards, "shards"), "--out", f"{bucket}/eval")
    assert (there.exit_code, there.stdout.splitlines()[:3]) == (0, here.stdout.splitlines()[:3])
    nothing = call("eval", "--checkpoint", trained, "--data", f"{bucket}/none", "--out", f"{bucket}/eval")
    assert refused(nothing) == f"Error: {bucket}/none: no objects there; give a folder with objects, or a file"


def test_a_network_is_fetched_once_for_each_of_its_versions(
    s3: Store, trained: Path, photographs: Path, copied: Copied, tmp_path: Path, cache: Path
) -> None:
    network, photo = copied(trained, "last.pt"), photographs / "original" / "scene0.png"
    predict = ["predict", "--checkpoint", network, photo, "--alpha-only", "--out", tmp_path / "mattes"]
    for _ in range(2):
        s3.sent.clear()
        assert call(*predict).exit_code == 0
    assert 0 < s3.sent["GET last.pt"] <= 1024  # what a file is, is looked at first
    kept = list(cache.iterdir())
    assert [each.read_bytes() for each in kept] == [trained.read_bytes()]
    other = torch.load(trained, weights_only=True)
    del other["digest"]
    torch.save({**other, "step": 3}, tmp_path / "other.pt")
    copied(tmp_path / "other.pt", "last.pt")
    assert call(*predict).exit_code == 0
    (fetched,) = set(cache.iterdir()) - set(kept)
    assert fetched.read_bytes() == (tmp_path / "other.pt").read_bytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>log in</html>", "a web page, not a network: its address needs a login"),
        (b"junk", "not a file that torch can load safely"),
        (None, "no such object"),
    ],
)
def test_what_is_no_network_is_refused_by_its_url(
    s3: Store, bucket: str, photographs: Path, data: bytes | None, words: str
) -> None:
    if data:
        s3.put(f"{bucket}/last.pt", data)
    result = call("eval", "--checkpoint", f"{bucket}/last.pt", "--data", photographs, "--out", "out")
    assert refused(result).startswith(f"Error: {bucket}/last.pt: {words}")


def test_a_network_that_is_too_large_is_not_fetched(
    s3: Store, bucket: str, trained: Path, photographs: Path, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rssn.storage.weights._MOST_BYTES", 1000)
    network = copied(trained, "last.pt")
    s3.sent.clear()
    size = f"{trained.stat().st_size:,}"
    words = f"Error: {network}: has {size} bytes; weights of networks have at most 1,000"
    assert refused(call("eval", "--checkpoint", network, "--data", photographs, "--out", "out")) == words
    assert s3.sent["GET last.pt"] == 0


def test_predict_from_and_to_a_bucket(
    s3: Store, listed: list[str], trained: Path, photographs: Path, copied: Copied, tmp_path: Path
) -> None:
    folder = copied(photographs / "original", "photos")
    one = copied(photographs / "original" / "scene1.png", "cat.png")
    scene = copied(photographs / "original" / "scene2.png", "beach.png")
    bucket = folder.removesuffix("/photos")
    s3.put(f"{bucket}/photos/deep/dog.png", s3.get(one))
    s3.put(f"{bucket}/photos/notes.txt", b"")
    words = [folder, one, "--background", scene, "--out"]
    listed.clear()
    there = call("predict", "--checkpoint", trained, *words, f"{bucket}/photos/mattes")
    assert there.exit_code == 0, there.output
    assert len(listed) == 2  # of the photographs, and of the results that are there
    assert ".txt" in there.stderr
    names = ["scene0", "scene1", "scene2", "scene3", "deep/dog", "cat"]
    results = s3.stored(f"{bucket}/photos/mattes")
    assert set(results) == {f"{name}-{kind}.png" for name in names for kind in ("alpha", "cutout", "composite")}
    here = [photographs / "original", "--background", photographs / "original" / "scene2.png", "--out"]
    assert call("predict", "--checkpoint", trained, *here, tmp_path / "mattes").exit_code == 0
    assert results["scene3-cutout.png"] == (tmp_path / "mattes" / "scene3-cutout.png").read_bytes()
    again = call("predict", "--checkpoint", trained, *words, f"{bucket}/photos/mattes")
    assert "6 of 6 photographs already had these results" in again.stderr
    s3.put(f"{bucket}/photos/mattes/cat-alpha.png", b"mine")
    foreign = call("predict", "--checkpoint", trained, *words, f"{bucket}/photos/mattes")
    assert "is there, and does not say that train predict made it" in foreign.stderr
    assert s3.get(f"{bucket}/photos/mattes/cat-alpha.png") == b"mine"
    assert list(Path().iterdir()) == []


def test_predict_names_objects_that_fail(s3: Store, bucket: str, trained: Path) -> None:
    s3.put(f"{bucket}/photos/junk.jpg", b"junk")
    result = call("predict", "--checkpoint", trained, f"{bucket}/photos", f"{bucket}/absent.jpg", "--out", "out")
    assert result.exit_code == 1
    assert f"{bucket}/photos/junk.jpg: read: not_an_image" in result.stderr
    assert f"{bucket}/absent.jpg: read: unreadable: {bucket}/absent.jpg: no such object" in result.stderr
    nothing = call("predict", "--checkpoint", trained, f"{bucket}/none", "--out", "out")
    assert refused(nothing) == f"Error: {bucket}/none: no objects there; give a folder with objects, or a file"
    among = call("predict", "--checkpoint", trained, f"{bucket}/photos", "--out", f"{bucket}/photos")
    assert "results would be written among the pictures that are read" in refused(among)


def test_export_from_and_to_a_bucket(s3: Store, bucket: str, trained: Path, copied: Copied, tmp_path: Path) -> None:
    network = copied(trained, "run/last.pt")
    result = call("export", "--checkpoint", network, "--format", "torchscript")
    assert result.exit_code == 0, result.output
    assert s3.names(f"{bucket}/run") == {"last.pt", "last.ts", "last.ts.md"}
    picture = torch.rand((1, 3, 64, 64))
    call("export", "--checkpoint", trained, "--format", "torchscript", "--out", tmp_path / "here.ts")
    one = torch.jit.load(io.BytesIO(s3.get(f"{bucket}/run/last.ts")))(picture)[0]
    np.testing.assert_array_equal(one.detach(), torch.jit.load(str(tmp_path / "here.ts"))(picture)[0].detach())
    assert b"torch.jit.load('last.ts'" in s3.get(f"{bucket}/run/last.ts.md")
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_import_from_and_to_a_bucket(s3: Store, bucket: str, tmp_path: Path, shared: Path) -> None:
    torch.save(random_state(shapes(shared, "r34", "TT"), 0), tmp_path / "released.pth")
    s3.put(f"{bucket}/released.pth", (tmp_path / "released.pth").read_bytes())
    words = ["--backbone", "r34", "--rosta", "TT", "--out"]
    result = call("import", f"{bucket}/released.pth", *words, f"{bucket}/ours.pt")
    assert result.exit_code == 0, result.output
    call("import", tmp_path / "released.pth", *words, tmp_path / "ours.pt")
    (tmp_path / "theirs.pt").write_bytes(s3.get(f"{bucket}/ours.pt"))
    one, other = (load_checkpoint(tmp_path / name).model for name in ("theirs.pt", "ours.pt"))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_run_starts_from_and_is_validated_on_what_lies_in_a_bucket(
    s3: Store, listed: list[str], trained: Path, shards: Path, photographs: Path, copied: Copied
) -> None:
    tmp_path = Path().resolve().parent
    network, real = copied(trained, "first/last.pt"), copied(photographs, "am2k/validation")
    bucket = network.removesuffix("/first/last.pt")
    words = ["--validate-every", 1, "--validation"]
    data = copied(shards, "shards")
    listed.clear()
    there = call(
        *run_options(Path(data), tmp_path / "x")[:1], "--data", data, *run_options(shards, Path())[5:],
        "--out", f"{bucket}/tuned", "--init", network, *words, f"real={real}", "--validation", data,
    )  # fmt: skip
    assert there.exit_code == 0, there.output
    assert len([each for each in listed if "prefix=am2k" in each]) == 1  # for all validations
    assert f"--init {network}: " in there.stderr
    assert f"checkpoint: {bucket}/tuned/last.pt" in there.stdout
    assert f"best: {bucket}/tuned/best.pt, step " in there.stdout
    here = call(*run_options(shards, tmp_path / "here"), "--init", trained, *words, f"real={photographs}")
    assert here.exit_code == 0, here.output
    last = [json.loads(s3.get(f"{bucket}/tuned/metrics.jsonl").splitlines()[-1])]
    last.append(json.loads((tmp_path / "here" / "metrics.jsonl").read_text().splitlines()[-1]))
    assert [each["validation/real/sad"] for each in last] == [last[1]["validation/real/sad"]] * 2
    assert "validation/shards/sad" in last[0]
    stored = json.loads(s3.get(f"{bucket}/tuned/config.json"))
    assert stored["init"]["path"] == network
    assert [each["path"] for each in stored["validation"]] == [real, data]
    moved = copied(trained, "elsewhere.pt")  # the same weights at another place are the same start
    again = call("run", "--data", data, *run_options(shards, Path())[5:], "--out", f"{bucket}/tuned", "--init", moved)
    assert again.exit_code == 0, again.output
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("option", ["--weights", "--init"])
def test_weights_by_url_are_read_as_files_are(s3: Store, bucket: str, shards: Path, option: str) -> None:
    s3.put(f"{bucket}/w.pth", b"<html>log in</html>")
    words = ["--backbone", "r34"] if option == "--weights" else []
    result = call(*run_options(shards, Path("out")), *words, option, f"{bucket}/w.pth")
    assert f"{bucket}/w.pth: a web page, not a network" in refused(result)


def test_pictures_of_a_run_in_a_bucket_can_be_opened(
    s3: Store, bucket: str, trained: Path, photographs: Path, copied: Copied
) -> None:
    call("eval", "--checkpoint", trained, "--data", copied(photographs, "set"), "--out", f"{bucket}/eval")
    with Image.open(io.BytesIO(s3.get(f"{bucket}/eval/worst.png"))) as sheet:
        assert sheet.width > 1000
