"""Makes the steps of a study: what has its mark is left alone; trainings and evaluations run side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipelines.executor.programs import end
from pipelines.executor.runner import THREADS, Done, Runner
from pipelines.study.jobs import KINDS
from pipelines.study.kinds import Options
from pipelines.study.steps import Step, made_by
from pipelines.study.watch import Watch
from rssn.dataset.shards import Mark
from rssn.errors import RssnError
from rssn.storage.atomic import copy_file, sweep
from rssn.storage.files import is_time, parse_json, write_json
from rssn.storage.location import BucketPath, Location, scratch_of
from rssn.storage.lock import lock_file
from rssn.storage.remote import content

_STEP_BYTES = 2 << 30
_PATIENCE_SECONDS = 120.0  # with the command of an earlier attempt: a training saves first
_LOOK_SECONDS = 0.2
_NOTED_SECONDS = 10.0  # that an attempt may lose when everything is killed
_SAID = 400  # characters of a log, at its end


@dataclass(frozen=True)
class StepTask:
    """A step for a worker: what it needs to know."""

    name: str
    kind: str
    place: Location  # its folder in the study
    command: tuple[str, ...]  # a module and its arguments
    threads: int
    size: int = 1
    memory: int = _STEP_BYTES
    quarantined: frozenset[str] = frozenset()

    @property
    def folder(self) -> Path:
        """Where it works: its lock and its log lie on this disk, also where the study is in a bucket."""
        return scratch_of(self.place) if isinstance(self.place, BucketPath) else self.place

    @property
    def log(self) -> Path:
        """What its command says."""
        return self.folder / "log.txt"

    @property
    def current_item(self) -> Path:
        """Nobody names items here."""
        return self.folder / "note"


def duration(step: Step, root: Location) -> float | None:
    """Seconds that a step took; None where it is not done."""
    return _seconds(step.mark(root), step.key)


def make_steps(
    steps: Sequence[Step], root: Location, runner: Runner, workers: Options, log: Callable[[str], None]
) -> None:
    """Make all steps of one kind that are not made yet.

    Args:
        steps: Of one kind.
        root: The study's folder.
        runner: Runs the processes of the steps.
        workers: Options of commands that start workers of their own.
        log: Is given a line for each step, and now and then one on their progress.

    Raises:
        RssnError: If one fails, when those beside it are made; the message names its log.
    """
    todo = {step.label: step for step in steps if duration(step, root) is None}
    if not todo:
        return
    threads = runner.capacity(len(todo)).threads
    tasks = [_task(step, root, workers, threads) for step in todo.values()]
    for step in todo.values():
        log(f"$ {step.command(root, workers)}")
    failed = []
    outcomes = closing(runner.run(make_step, tasks, lambda: None))
    with outcomes as made, Watch({label: step.out(root) for label, step in todo.items()}, log) as watch:
        for number, outcome in enumerate(made, 1):
            if outcome.done is None:
                failed.append(outcome.error)
            watch.ended(outcome.task.name)
            words = f"failed: {outcome.error}" if outcome.done is None else f"{outcome.task.name} is done"
            log(f"{number} of {len(tasks)}: {words}; {watch.summary()}")
    if failed:
        remedy = "run the same command again to resume"
        raise RssnError(f"{len(failed)} of {len(tasks)} steps failed; the first: {failed[0]}; {remedy}")


def _task(step: Step, root: Location, workers: Options, threads: int) -> StepTask:
    """A task, whose process finds its job in a file."""
    folder = step.folder(root)
    if isinstance(folder, Path):
        sweep(folder, "job.json")
    facts = {"kind": step.kind, "options": step.given(root, workers), "command": step.command(root, workers)}
    write_json(folder / "job.json", facts)
    return StepTask(step.label, step.kind, folder, ("pipelines.study.jobs", str(folder / "job.json")), threads)


def make_step(task: StepTask) -> Done:
    """Run a step's process, what it says into a log, and write its mark, with the time of all attempts.

    Raises:
        RssnError: If the command fails, with the end of its log; or if that of an earlier attempt does not end.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    with _alone(task) as lock:
        sweep(task.folder, "spent.json", "step.json")
        if not KINDS[task.kind].resumes:
            sweep(task.folder / "out", "*")
        with _log_kept(task):
            code, seconds = _run(task, lock)
            said = " ".join(task.log.read_text(encoding="utf-8", errors="replace")[-_SAID:].split())
    if code:
        raise RssnError(f"{task.name}: exit code {code}: {said} ({task.place / task.log.name})")
    key = task.place.name.rpartition("-")[2]
    facts = {"key": key, "command": task.command, "seconds": round(seconds, 1), "versions": made_by()}
    write_json(task.place / "step.json", facts)
    return Done(Mark(task.name, 1, 0, ""))


@contextmanager
def _log_kept(task: StepTask) -> Iterator[None]:
    """In a bucket the log goes on where that of an earlier attempt ended, on whatever machine, and is moved there."""
    if not isinstance(task.place, BucketPath):
        yield
        return
    if not task.log.exists():
        with suppress(FileNotFoundError):
            task.log.write_bytes(content(task.place / task.log.name))
    try:
        yield
    finally:
        copy_file(task.log, task.place / task.log.name)
        task.log.unlink()


@contextmanager
def _alone(task: StepTask) -> Iterator[int]:
    """Hold the step's lock, which its command inherits: if this process is killed, the command holds it to its end."""
    with (task.folder / ".running").open("w", encoding="ascii") as stream:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        if not _locked(stream):
            with task.log.open("a", encoding="utf-8") as log:
                log.write("waiting for the command of an earlier attempt, which is still at work\n")
        while not _locked(stream):
            if time.monotonic() > deadline:
                words = "the command of an earlier attempt is still at work; wait for its end, or stop it"
                raise RssnError(f"{task.name}: {words} ({task.log})")
            time.sleep(_LOOK_SECONDS)
        yield stream.fileno()


def _locked(stream: IO[str]) -> bool:
    return lock_file(stream.fileno()) is not False  # None: a file system without locks


def _run(task: StepTask, lock: int) -> tuple[int, float]:
    """The command's exit code, and the seconds of all attempts of which it makes use."""
    environment = os.environ | dict.fromkeys(THREADS, str(task.threads))
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-P", "-m", "pipelines.study.child", *task.command]  # -P: not what lies in this folder
    spent = task.place / "spent.json"
    since = time.monotonic() - (_seconds(spent) or 0.0 if KINDS[task.kind].resumes else 0.0)
    with task.log.open("ab") as words:
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": words, "stderr": words}
        more: dict[str, Any] = {"pass_fds": [lock], "process_group": 0}  # Ctrl-C reaches it by `end`, once
        child = subprocess.Popen(command, env=environment, **pipes, **more)  # noqa: S603
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return child.wait(_NOTED_SECONDS), time.monotonic() - since
                _note(spent, time.monotonic() - since)
        except BaseException:
            end(child)  # a training saves first
            raise
        finally:
            _note(spent, time.monotonic() - since)


def _note(spent: Location, seconds: float) -> None:
    with suppress(OSError):  # a disk that is full: a forecast is not worth a training
        write_json(spent, {"seconds": round(seconds, 1)})


def _seconds(path: Location, key: str | None = None) -> float | None:
    """What a file says of a step's time; None where there is none, or it is of a step with another key."""
    try:
        facts = parse_json(content(path))
        return float(facts["seconds"]) if facts.get("key") == key and is_time(facts["seconds"]) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
