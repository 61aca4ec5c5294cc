"""SIGKILL of a study, or of the command of one of its steps, while a temporary file of the step is there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hitting import KILLS, Command, children, content, differing, hit, shard_in

pytestmark = pytest.mark.slow

STUDY = """
name: hit
foregrounds: {matting}
backgrounds: {{curated: {{take: {bg20k}}}}}
rows:
  plain: {{recipe: comp-bg20k, backgrounds: curated, options: {{k: 1, shard-rows: 1, foreground: multiply}}}}
network: {{backbone: tiny, options: {options}}}
seeds: [0]
evaluation: {{data: {evaluation}, options: {{max-side: 96}}}}
"""
OPTIONS = "{{max-steps: {}, checkpoint-every: 1, batch-size: 2, input-size: 64, crop-size: 64, workers: 0}}"
TIMES = r"steps/[^/]*/(log\.txt|spent\.json|step\.json|out/metrics\.jsonl|out/last\.pt)"
"""Files that hold seconds or what was said on the way; and the checkpoint, whose bytes pickle does not fix."""


@pytest.fixture(scope="module")
def study(synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Command]:
    base = tmp_path_factory.mktemp("hit")
    options = OPTIONS.format(3 * KILLS + 6)
    text = STUDY.format(
        matting=synthetic / "matting", bg20k=bg20k, evaluation=synthetic / "evaluation", options=options
    )
    (base / "hit.yaml").write_text(text)

    def start(name: str) -> Command:
        (base / name).mkdir()
        words = ["study", base / "hit.yaml", "--out", base / name / "out", "--workers", 0]
        return Command("pipelines.cli", words, base / name)

    return start


@pytest.fixture(scope="module")
def whole(study: Callable[[str], Command]) -> dict[str, bytes]:
    command = study("whole")
    command.run()
    return made(command)


def made(command: Command) -> dict[str, bytes]:
    """Every file of a study, without the times that it tells."""
    found = content(command.folder / "out", blank=TIMES)
    own = str(command.folder).encode()
    return {name: re.sub(rb"took \d+ minutes", b"", data).replace(own, b"") for name, data in found.items()}


def temporary(out: Path) -> Path | None:
    """A shard's, or a checkpoint's."""
    steps = out / "steps"
    for folder in [steps / name / "out" for name in (os.listdir(steps) if steps.exists() else ())]:  # noqa: PTH208
        path = folder / ".last.pt.tmp"
        found = path if path.exists() else shard_in(folder / "data")()
        if found:
            return found
    return None


@pytest.mark.parametrize("whom", ["driver", "step"])
def test_a_killed_study_goes_on(whom: str, study: Callable[[str], Command], whole: dict[str, bytes]) -> None:
    command = study(whom)
    for number in range(KILLS):
        with command.running() as process:
            seen: set[int] = set()

            def writer(_: Path, pid: int = process.pid) -> int | None:
                return next(iter(children(pid)), None)

            def victim(path: Path, number: int = number, pid: int = process.pid, seen: set[int] = seen) -> int | None:
                seen.add(path.stat().st_ino)
                late = len(seen) > 1 + number % 2
                return (pid if whom == "driver" else writer(path, pid)) if late else None

            path = hit(process, lambda: temporary(command.folder / "out"), writer, victim)
            assert path is not None, command.said()
            if whom == "step":
                assert process.wait(300) == 1
                assert "exit code -9" in command.said()
                assert "Traceback" not in command.said()
    command.run()
    assert differing(made(command), whole) == []
