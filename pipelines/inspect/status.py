"""`rssn status`: how far the run in an output folder is, read from the folder alone, while it runs or after.

Floor 3: nothing is changed, nobody is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from pipelines.curate.rows import candidates_folder
from pipelines.executor.run_state import RunState, read_state
from rssn.dataset.batches import NOTHING_LATER, superseded
from rssn.dataset.dataset import open_dataset
from rssn.dataset.manifest import Manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.statistics import count_rejects, share
from rssn.errors import DamagedError
from rssn.storage.lease import read_lease
from rssn.storage.location import Location


def status(root: Location) -> list[str]:
    """Lines: what it is, who works on it, how far it is, how fast, what was refused and what failed.

    Raises:
        InputError: If the folder holds no data set.
    """
    folder = open_dataset(root)
    manifest = folder.manifest
    working = [candidates_folder(folder), folder]
    states = [(one, state) for one in working if (state := read_state(one))]
    lines = [f"{root}: {manifest.kind}, {_owner(root, manifest, running=bool(states))}"]
    for one, state in states:
        lines += _progress(one, state)
    if not states:
        marks = folder.marks()
        lines.append(f"{len(marks)} shards, {sum(mark.rows for mark in marks)} rows")
    return [*lines, *_rejects(folder), *_failures(working)]


def _owner(root: Location, manifest: Manifest, *, running: bool) -> str:
    lease = read_lease(root)
    if lease and not lease.stale:
        return f"running: {lease.words}"
    if manifest.finished and not running:
        return "finished"
    return "stopped; run the same command again to resume"


def _progress(folder: DatasetFolder, state: RunState) -> Iterator[str]:
    at_hand = folder.in_progress()
    done = state.done_items + sum(at_hand.values())
    yield f"{state.done_shards} of {state.shards} shards done, {len(at_hand)} at hand, {state.failed} failed"
    yield f"{done} of {state.items} {state.unit} ({done / max(state.items, 1):.0%}), {state.rejected} rejected"
    if state.rate > 0:
        left = (state.items - done) / state.rate
        yield f"{state.rate:.3g} {state.unit} a second, about {_duration(left)} left"
    total = sum(state.seconds.values())
    if total:
        stage, seconds = max(state.seconds.items(), key=lambda item: item[1])
        yield f"slowest stage: {stage}, {seconds / total:.0%} of the time in workers"


def _rejects(folder: DatasetFolder) -> Iterator[str]:
    """Rejects by reason; what was copied into the published set is counted there alone."""
    published = {mark.name.removeprefix("train") for mark in folder.marks() if mark.name.startswith("train-")}
    candidates = candidates_folder(folder).reject_files()
    files = [path for path in candidates if path.stem.removeprefix("candidates") not in published]
    reasons: Counter[str] = Counter()
    later = NOTHING_LATER
    try:
        later = superseded(folder.root)
    except DamagedError as error:
        yield f"damaged: {error}"
    for path in [*files, *folder.reject_files()]:
        try:
            reasons += count_rejects([path], later)
        except DamagedError as error:
            yield f"damaged: {error}"
    if reasons:
        yield f"rejects: {share(reasons)}"


def _failures(folders: list[DatasetFolder]) -> Iterator[str]:
    for one in folders:
        for name in one.failures():
            with suppress(DamagedError):  # said among the rejects
                for row in iter_rows(one.failure(name), ["reason", "message"]):
                    yield f"failed: {name}: {row['reason']}: {row['message']}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else (f"{minutes} min {rest} s" if minutes else f"{rest} s")
