from __future__ import annotations

from pathlib import Path

import pytest

import pipelines.demo as demo_module
from pipelines.demo import run_demo, steps
from rssn.errors import RssnError
from rssn.storage.location import BucketPath
from rssn.synthetic import SyntheticPlan

pytestmark = pytest.mark.slow

SMALL = SyntheticPlan(
    foregrounds=2, evaluation=1, backgrounds=6, copies=1, small=1, shot_size=(96, 64), photo_side=80, seed=1
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "SyntheticPlan", lambda: SMALL)
    monkeypatch.setattr(demo_module, "MIN_SIDE", 72)
    monkeypatch.setattr(demo_module, "STEPS", 4)


def test_the_demo_runs_the_whole_job_and_says_where_to_look(small: None, tmp_path: Path) -> None:
    """Every real command, in processes of their own, with BM3D and training, on very small pictures."""
    said: list[str] = []
    run_demo(tmp_path / "demo", 0, said.append)
    text = "\n".join(said)
    for command in ("rssn build-bg20k", "rssn compose", "rssn inspect", "train run", "train eval", "train predict"):
        assert f"$ {command}" in text
    listed = text.partition("== Open these")[2].split()
    paths = [Path(word) for word in listed if word.startswith("/")]
    assert all(path.is_file() for path in paths)
    names = {path.name for path in paths}
    assert {"index.html", "contact-sheet-samples-01.png", "curve.png", "worst.png"} <= names
    assert any(name.endswith("-cutout.png") for name in names)
    assert text.count(" s  ") == len(steps(tmp_path / "demo", 0)) + 1


def test_the_demo_runs_in_a_bucket(small: None, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said: list[str] = []
    run_demo(BucketPath(f"{bucket}/demo"), 0, said.append)
    listed = "\n".join(said).partition("== Open these")[2].split()
    places = [BucketPath(word) for word in listed if word.startswith("s3://")]
    assert {"index.html", "curve.png", "worst.png"} <= {place.name for place in places}
    assert all(place.is_file() for place in places)
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_a_step_that_fails_stops_the_demo_and_is_named(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_module, "MIN_SIDE", 5000)
    with pytest.raises(RssnError, match="the step 'Compose by the RSSN route' ended with exit code 1"):
        run_demo(tmp_path / "demo", 0, lambda _: None)
    assert "no backgrounds found" in capfd.readouterr().err
