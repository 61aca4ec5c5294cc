"""A running cluster of two nodes: the same bytes through a bucket or a shared folder, also when a node is lost.

Where this process may mount, the nodes have a disk of their own in the place of the cache: they and the driver share
the bucket alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

import pipelines.compose.job as compose_module
from pipelines.compose.job import run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.naming import name_foregrounds
from pipelines.compose.plan import PlannedForeground
from pipelines.compose.shard import ComposeTask, compose_shard
from pipelines.executor.ray_runner import make_runner
from pipelines.executor.runner import Done, LocalRunner
from pipelines.study.execute import StepTask, make_step
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import MattingSample
from rssn.storage.location import BucketPath
from tests.bucket import Store
from tests.pipelines.composing import QUICK, RECIPE, digests, files, job_of, rejects, rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DRIVER = """
import sys
from pathlib import Path
from rssn.storage.location import BucketPath
from tests.pipelines.executor.test_cluster import drive
drive(sys.argv[1], str(sys.argv[2]), Path(sys.argv[3]))
"""


def deadly(task: ComposeTask) -> Done:
    """Make a shard in a worker that dies of one photograph."""
    load = PlannedForeground.load

    def deadly_load(planned: PlannedForeground) -> MattingSample:
        if planned.foreground_id == os.environ["POISON"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(planned)

    PlannedForeground.load = deadly_load  # type: ignore[method-assign]
    try:
        return compose_shard(task)
    finally:
        PlannedForeground.load = load  # type: ignore[method-assign]


def drive(address: str, bucket: str, cache: Path) -> None:
    compose_module.compose_shard = deadly
    runner = make_runner(None, address)
    matting, bg20k = (BucketPath(f"{bucket}/{name}") for name in ("matting", "bg20k"))
    out = BucketPath(f"{bucket}/out")
    summary = run_compose(job_of(matting, bg20k, out, QUICK, cache=LayerCache(cache, 1 << 30)), runner)
    assert (summary.written, summary.rejected, summary.failed) == (4, 2, []), summary


JOB = json.dumps({"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "4"}}, "metadata": {"job_submission_id": "x"}})
STUDY_DRIVER = """
import sys
from pathlib import Path
from tests.pipelines.executor.test_cluster import drive_step
drive_step(sys.argv[1], Path(sys.argv[2]))
"""


def drive_step(address: str, folder: Path) -> None:
    runner = make_runner(None, address, gpu_each=True)
    task = StepTask("train-a", "train", folder, ("tests.pipelines.study.wherefrom",), 1)
    (outcome,) = runner.run(make_step, [task], lambda: None)
    assert outcome.done is not None, outcome.error


@dataclass(frozen=True)
class Nodes:
    """A cluster, and the folder that is empty in its eyes whatever the driver has there."""

    process: subprocess.Popen[str]
    address: str
    cache: Path | None  # None: this process may not mount

    def lose_one(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("lose a node\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def poison(synthetic: Path) -> str:
    """The id of a photograph."""
    return name_foregrounds(find_pairs(synthetic / "matting").pairs, "multiply")[0][1].foreground_id


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, poison: str, _running_store: Callable[[str], Store]
) -> Iterator[Nodes]:
    cache = tmp_path_factory.mktemp("cache")
    may_mount = (
        subprocess.run(["/usr/bin/unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    )
    private = ["/usr/bin/unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {cache} && exec "$@"', "sh"]
    command = [*(private if may_mount else []), sys.executable, "-m", "tests.pipelines.cluster"]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "POISON": poison, "PYTHONPATH": str(ROOT)}
    environment |= _running_store("s3").environment
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=environment, cwd=ROOT, **pipes) as process:
        assert process.stdin
        assert process.stdout
        yield Nodes(process, process.stdout.readline().strip(), cache if may_mount else None)
        process.stdin.close()


@pytest.fixture
def sources(synthetic: Path, bg20k: Path) -> tuple[Path, Path]:
    return synthetic / "matting", bg20k


def test_nodes_with_disks_of_their_own(
    cluster: Nodes, poison: str, sources: tuple[Path, Path], s3: Store, bucket: str, tmp_path: Path
) -> None:
    if cluster.cache is None:
        pytest.skip("a disk of a node's own needs the right to mount one")
    for root, name in zip(sources, ("matting", "bg20k"), strict=True):
        for file, data in files(root).items():
            s3.put(f"{bucket}/{name}/{file}", data)
    command = [sys.executable, "-c", DRIVER, cluster.address, bucket, str(cluster.cache)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in s3.names(f"{bucket}/out"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(s3.get(f"{bucket}/out/{name}"))
    whole = job_of(*sources, tmp_path / "whole", QUICK)
    run_compose(whole, LocalRunner())
    assert list(rows(tmp_path / "out")) == [row for row in rows(whole.out) if row["foreground_id"] != poison]
    assert {row["item_id"] for row in rejects(tmp_path / "out")} == {f"{poison}/0", f"{poison}/1"}
    assert {row["message"].partition(":")[0] for row in rejects(tmp_path / "out")} == {poison}
    assert not [path for path in cluster.cache.iterdir() if any(path.rglob("*.*"))], "nothing of the inputs lies here"


@pytest.mark.parametrize("given", ["option", "job"])
def test_a_study_asks_the_cluster_what_it_can_do_at_once(
    cluster: Nodes, synthetic: Path, tmp_path: Path, given: str
) -> None:
    """Also as a driver in a job, which `ray job submit` tells of the cluster and of the job's variables."""
    command = [sys.executable, "-m", "pipelines.cli", "study", "demo", "--input", f"synthetic={synthetic}"]
    command += ["--out", tmp_path / "out", "--dry-run", *(["--address", cluster.address] if given == "option" else [])]
    job = {"RAY_ADDRESS": cluster.address, "RAY_JOB_CONFIG_JSON_ENV_VAR": JOB} if given == "job" else {}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=os.environ | job)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "0 of 11 steps done; about 0.0 min for the others and what 11 take of which nothing is known yet, "
        "with 2 workers, 1 network at a time"
    )
    assert (f"the Ray cluster that RAY_ADDRESS names: {cluster.address}" in done.stderr) == (given == "job")


def test_the_commands_of_a_study_run_the_code_that_was_sent_to_the_nodes(cluster: Nodes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUDY_DRIVER, cluster.address, str(tmp_path / "train-a-0123")]
    elsewhere = os.environ | {"PYTHONPATH": str(ROOT)}  # Ray's workers look first where their driver was started
    done = subprocess.run(command, cwd=tmp_path, env=elsewhere, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    places = (tmp_path / "train-a-0123" / "log.txt").read_text().splitlines()
    assert [Path(place).parent.name for place in places] == ["bg20k", "pipelines", "rssn", "train"]
    assert [place for place in places if "py_modules_files" not in place] == []


def mirrored(matting: Path, to: Path) -> Path:
    """Four times the pairs of a folder: work enough for two nodes, also where one of them comes late."""
    for path in sorted(matting.glob("*/*.*")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        (to / path.parent.name).mkdir(parents=True, exist_ok=True)
        for code in (None, -1, 0, 1):
            turned = picture if code is None else cv2.flip(picture, code)
            cv2.imwrite(str(to / path.parent.name / f"{path.stem}-{code}.png"), turned)
    return to


def test_a_lost_node_changes_no_byte(cluster: Nodes, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    cache, matting = LayerCache(tmp_path / "cache", 0), mirrored(synthetic / "matting", tmp_path / "matting")
    run_compose(job_of(matting, bg20k, tmp_path / "whole", RECIPE, cache=cache), LocalRunner())
    command = [
        sys.executable, "-m", "pipelines.cli", "compose", "--matting", matting, "--backgrounds", bg20k,
        "--out", tmp_path / "out", "--k", 4, "--denoiser", "nlmeans", "--cache-size", 0, "--address", cluster.address,
    ]  # fmt: skip
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        progress = tmp_path / "out" / "progress"
        deadline = time.time() + 240
        while len(list(progress.glob("*.item"))) < 2 and time.time() < deadline:
            assert running.poll() is None, "the run ended before a node was lost"
            time.sleep(0.005)
        cluster.lose_one()
        said, complained = running.communicate(timeout=400)
    assert running.returncode == 0, complained
    assert "48 composites written, 0 reused, 0 rejected" in said
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.suffix in (".tmp", ".item")] == []


def test_where_no_cluster_answers(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "compose",
        "--matting",
        synthetic / "matting",
        "--backgrounds",
        bg20k,
    ]
    command += ["--out", tmp_path / "out", "--address", "127.0.0.1:1"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--address 127.0.0.1:1: no Ray cluster answers at this address" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
