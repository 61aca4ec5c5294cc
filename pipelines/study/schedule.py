"""Makes the steps of a study: what has its mark is left alone; trainings and evaluations run side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.programs import typed
from pipelines.runner import THREADS, Done, Runner
from pipelines.study.steps import Kind, Step
from pipelines.study.versions import made_by
from pipelines.study.watch import Watch
from rssn.errors import RssnError
from rssn.files import write_json
from rssn.shards import Mark

ALONE: frozenset[Kind] = frozenset({"curate", "crops", "compose", "pack"})
"""Steps that take all workers by themselves."""

_DONE_ALL_THE_SAME: dict[Kind, str] = {"compose": "manifest.json", "pack": "manifest.json", "eval": "summary.json"}
"""Commands that fail at the end where a photograph was refused, and the file that says that they came to their end."""

_STEP_BYTES = 2 << 30
_BAR_SECONDS = "5"  # between two states of a progress bar in a log
_SAID = 400  # characters of a log, at its end


@dataclass(frozen=True)
class StepTask:
    """A step for a worker: what it needs to know."""

    name: str
    kind: Kind
    folder: Path
    command: tuple[str, ...]  # module and arguments
    threads: int
    size: int = 1
    memory: int = _STEP_BYTES
    poisoned: frozenset[str] = frozenset()

    @property
    def log(self) -> Path:
        """What its command says."""
        return self.folder / "log.txt"

    @property
    def note(self) -> Path:
        """Nobody names items here."""
        return self.folder / "note"


@dataclass(frozen=True)
class Workers:
    """How the steps run.

    Attributes:
        runner: For trainings and evaluations.
        options: `--workers` and `--address` of the commands that start workers of their own.
    """

    runner: Runner
    options: Sequence[str]


def took(step: Step, root: Path) -> float | None:
    """Seconds that a step took; None where it is not done."""
    try:
        mark = json.loads(step.mark(root).read_text(encoding="utf-8"))
        return float(mark["seconds"]) if mark["key"] == step.key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_steps(steps: Sequence[Step], root: Path, workers: Workers, say: Callable[[str], None]) -> None:
    """Make all steps of one kind that are not made yet.

    Raises:
        RssnError: If one fails, when those beside it are made; the message names its log.
    """
    todo = [step for step in steps if took(step, root) is None]
    threads = workers.runner.room(len(todo)).threads
    tasks = [_task(step, root, workers.options, threads) for step in todo]
    failed = []
    for task in tasks:
        say(f"$ {typed(task.command[0], task.command[1:])}")
    with Watch({task.name: task.log for task in tasks}, say) as watch:
        for number, outcome in enumerate(workers.runner.run(make_step, tasks, lambda: None), 1):
            if outcome.done is None:
                failed.append(outcome.error)
            watch.ended(outcome.task.name)
            words = f"failed: {outcome.error}" if outcome.done is None else f"{outcome.task.name} is done"
            say(f"{number} of {len(tasks)}: {words}; {watch.words()}")
    if failed:
        raise RssnError(f"{len(failed)} of {len(tasks)} steps failed; the first: {failed[0]}; the same command goes on")


def make_step(task: StepTask) -> Done:
    """Run a step's command, its words into a log, and write its mark.

    Raises:
        RssnError: If the command fails; with the end of its log.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    code = _run(task)
    seconds = time.monotonic() - started
    end = task.folder / "out" / _DONE_ALL_THE_SAME.get(task.kind, "")
    if code and not (task.kind in _DONE_ALL_THE_SAME and _is_complete(end)):
        said = " ".join(task.log.read_text(encoding="utf-8", errors="replace")[-_SAID:].split())
        raise RssnError(f"{task.name}: exit code {code}: {said} ({task.log})")
    key = task.folder.name.rpartition("-")[2]
    facts = {"key": key, "command": task.command, "seconds": round(seconds, 1), "versions": made_by()}
    write_json(task.folder / "step.json", facts)
    return Done(Mark(task.name, 1, 0, ""))


def _task(step: Step, root: Path, options: Sequence[str], threads: int) -> StepTask:
    given = options if step.kind in ("curate", "compose", "pack") else ()
    return StepTask(step.label, step.kind, step.folder(root), (step.module, *step.command(root), *given), threads)


def _run(task: StepTask) -> int:
    environment = os.environ | dict.fromkeys(THREADS, str(task.threads)) | {"TQDM_MININTERVAL": _BAR_SECONDS}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-P", "-m", "pipelines.study.child", *task.command]  # -P: not what lies in this folder
    with task.log.open("ab") as words:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=environment)  # noqa: S603
        try:
            return child.wait()
        except BaseException:
            child.terminate()  # a training saves first
            child.wait()
            raise


def _is_complete(proof: Path) -> bool:
    try:
        facts = json.loads(proof.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return proof.name != "manifest.json" or "totals" in facts
