"""Kills a job at every kind of moment: `python -m tests.pipelines.killing JOB.json` prints what became of each.

A moment is before or after a call that changes a file: writing rows, renaming, removing, writing text, filling the
cache. One process imports everything; its children run the job, and one kills itself with SIGKILL at its moment.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq

import pipelines.compose.layer_cache
from bg20k.hamming import near_pairs
from bg20k.rules import CurationRules
from pipelines.compose.job import ComposeJob, run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.prune import PruneJob, run_prune
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from tests.pipelines.composing import QUICK, job_of

Job: TypeAlias = ComposeJob | CurationJob | PruneJob
Moment: TypeAlias = tuple[str, str, int]
"""`before` or `after`, what is done to which kind of file, and the how-manieth time."""


def main(path: str) -> None:
    """Run the job undisturbed, and then once for every moment: killed, and run again."""
    facts = json.loads(Path(path).read_text(encoding="utf-8"))
    base, scratch = facts["base"] and Path(facts["base"]), Path(facts["scratch"])
    near_pairs(np.arange(2, dtype=np.uint64), 1)  # compiled once, not by every child

    def fresh(name: str) -> Job:
        """The job in a copy of the folder it starts from; the output's name stays, for the command is recorded."""
        shutil.rmtree(scratch / name, ignore_errors=True)
        (scratch / name).mkdir(parents=True)
        if base:
            shutil.copytree(base, scratch / name / "out")
        out = scratch / name / "out"
        if "photos" in facts:
            return CurationJob(Path(facts["photos"]), out, CurationRules(**facts["settings"]), None, ErrorBudget())
        if "ended_by" in facts:
            return PruneJob(out, Path(facts["matting"]), Path(facts["bg20k"]))
        return composition(out)

    def composition(out: Path) -> ComposeJob:
        cache = LayerCache(out.parent / "cache", 1 << 30)
        return job_of(Path(facts["matting"]), Path(facts["bg20k"]), out, QUICK, cache=cache, **facts["settings"])

    trace = scratch / "trace.json"
    assert _child(lambda: _traced(fresh("whole"), trace)) == 0
    composed = facts.get("ended_by") == "compose"  # what a run of another command says of itself is its own
    whole = _content(scratch / "whole" / "out", shards=composed)
    calls, modules = json.loads(trace.read_text(encoding="utf-8"))
    for name in modules:  # imported once, not by every child
        importlib.import_module(name)
    for moment in _moments(calls):
        job = fresh("killed")
        died = _child(lambda job=job, moment=moment: _killed(job, moment)) == -signal.SIGKILL
        end = composition(job.out) if composed and (job.out / "plan" / "pruned.parquet").is_file() else job
        again = _child(lambda end=end: _run(end))
        same = _content(job.out, shards=composed) == whole
        leftovers = [p.name for p in job.out.rglob("*.tmp")]
        found = {"moment": moment, "died": died, "again": again, "same": same, "leftovers": leftovers}
        sys.stdout.write(json.dumps(found) + "\n")


def _moments(calls: list[str]) -> list[Moment]:
    """Before the first call of each kind, and with rows half-written; bars and temporary files decide nothing."""
    idle = re.compile(r"\w+ out/(candidates/)?progress.*|unlink out/(\w+/)*\..*")
    counts = Counter(call for call in calls if not idle.fullmatch(call))
    half = [("after", kind, count) for kind, count in counts.items() if kind.startswith("write_table")]
    return [*(("before", kind, 1) for kind in counts), *half]


def _run(job: Job) -> None:
    if isinstance(job, CurationJob):
        run_curation(job, LocalRunner())
    elif isinstance(job, PruneJob):
        run_prune(job)
    else:
        run_compose(job, LocalRunner())


def _traced(job: Job, trace: Path) -> None:
    """Run a job, and write down its calls and the modules that it has loaded on its way."""
    calls, before = list[str](), set(sys.modules)
    _hook(lambda when, kind: calls.append(kind) if when == "before" else None, job)
    _run(job)
    with trace.open("w", encoding="utf-8") as stream:
        json.dump([calls, sorted(sys.modules.keys() - before)], stream)


def _killed(job: Job, moment: Moment) -> None:
    seen: Counter[tuple[str, str]] = Counter()

    def look(when: str, kind: str) -> None:
        seen[when, kind] += 1
        if (when, kind, seen[when, kind]) == tuple(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    _hook(look, job)
    _run(job)


def _hook(look: Callable[[str, str], None], job: Job) -> None:
    """Tell `look` of every call that changes a file of the job."""

    def wrap(owner: Any, name: str, path_of: Callable[..., Path | None]) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **more: Any) -> Any:
            kind = _kind(job, name, path_of(*arguments))
            look("before", kind)
            result = real(*arguments, **more)
            look("after", kind)
            return result

        setattr(owner, name, call)

    wrap(Path, "replace", lambda _, target: target)
    wrap(Path, "unlink", lambda path, **_: path)
    wrap(Path, "write_text", lambda path, *_: path)
    wrap(Path, "write_bytes", lambda path, _: path)
    wrap(pq.ParquetWriter, "write_table", lambda writer, _: Path(writer.where))
    wrap(pipelines.compose.layer_cache, "_store", lambda path, _: path)
    wrap(pipelines.compose.layer_cache, "_digest", lambda _: None)  # between an entry's body and its digest


def _kind(job: Job, name: str, path: Path | None) -> str:
    if path is None or not path.is_relative_to(job.out.parent):
        return f"{name} {'cache' if path is None else 'scratch'}"
    where = path.relative_to(job.out.parent).with_suffix("").as_posix()
    where = re.sub(r"\d{5}-of|\d+", "", where) if "cache" not in where else "cache"
    return f"{name} {where}"


def _content(out: Path, *, shards: bool = False) -> dict[str, bytes]:
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    return {
        name: data for name, data in found.items() if not shards or name.startswith(("data/", "marks/", "rejects/"))
    }


def _child(work: Callable[[], None]) -> int:
    """Exit code of a forked child, negative for a signal. Nothing in this process has started a thread."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"\n{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1])
