"""SIGKILL of a driver whose data set goes to a bucket, at every kind of moment; and a second driver beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import RunSummary
from rssn.errors import InputError
from rssn.storage.location import BucketPath, scratch_of
from rssn.storage.remote import list_files
from tests.bucket import Fault, Store
from tests.pipelines.composing import QUICK, files, job_of

pytestmark = pytest.mark.slow

DRIVER = """
import sys
from pathlib import Path
from tests.pipelines.output.test_bucket_killed import compose
compose(*map(Path, sys.argv[1:3]), sys.argv[3])
"""


def compose(matting: Path, bg20k: Path, out: str) -> RunSummary:
    return run_compose(job_of(matting, bg20k, BucketPath(out), QUICK), LocalRunner())


@pytest.mark.parametrize("moment", [("plan/foregrounds", 0), ("marks/composites-00001", 2), ("README", 6)])
def test_the_same_command_goes_on(
    moment: tuple[str, int], synthetic: Path, bg20k: Path, s3: Store, bucket: str, tmp_path: Path
) -> None:
    path, reused = moment
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "whole", QUICK), LocalRunner())
    places = (synthetic / "matting", bg20k)
    s3.faults = [fault := Fault("hang", "PUT", path)]
    command = [sys.executable, "-c", DRIVER, *map(str, places), bucket]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL) as driver:
        deadline = time.time() + 300
        while not fault.seen and time.time() < deadline:
            assert driver.poll() is None, "the run ended before it was killed"
            time.sleep(0.01)
        with pytest.raises(InputError, match=rf"{bucket}: another run is at work here \(process {driver.pid} on "):
            compose(*places, bucket)
        driver.kill()
    s3.faults = []
    assert compose(*places, bucket).reused == reused
    whole = files(tmp_path / "whole")
    assert {name: s3.get(f"{bucket}/{name}") for name in sorted(s3.names(bucket))} == whole
    assert list(list_files(scratch_of(BucketPath(bucket)))) == []
