"""The way of a compose job through the source: which files it enters, and where it climbs back up.

`python -m tests.way` composes two small pictures without workers, and prints both.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import numpy as np

from rssn.image.arrays import encode_jpeg, encode_png
from tests.test_rooms import imports, modules

ROOT = Path(__file__).parents[1]
ROOMS = ("pipelines/", "rssn/route/")

Calls = set[tuple[str | None, str]]
"""Of files: the caller's, None where there is none of ours, and that of the function that is called."""


def files_entered(calls: Calls) -> set[str]:
    """Files of `pipelines/` and `rssn/route/` of which a function is called, other than by an import.

    What reads and writes bytes, and the kernels, lie below and are not counted: they are libraries to this way.
    """
    return {callee for _, callee in calls if callee.startswith(ROOMS)}


def climbs(calls: Calls, root: Path = ROOT) -> set[tuple[str, str]]:
    """Pairs of files, of all rooms, of which the first calls the second and is imported by it, directly or not.

    Such a call is made through something handed down: a callback, a generator, a task.
    """
    known = modules(root)
    graph = {name: imports(path, known) for name, path in known.items()}
    names = {path.relative_to(root).as_posix(): name for name, path in known.items()}
    below = {name: _below(name, graph) for name in graph}
    return {(a, b) for a, b in calls if a is not None and a != b and names[a] in below[names[b]]}


def _below(name: str, graph: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        fresh = graph[waiting.pop()] - found
        found |= fresh
        waiting += fresh
    return found


@contextmanager
def recorded(root: Path = ROOT) -> Iterator[Calls]:
    """Note the calls of functions in our files, in all threads that begin within; imports and their calls apart."""
    calls: Calls = set()
    ours = tuple(f"{root / package}/" for package in ("rssn", "bg20k", "train", "pipelines"))

    def name(frame: FrameType) -> str:
        return Path(frame.f_code.co_filename).relative_to(root).as_posix()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(ours):
            return
        stack = list(_stack(frame, ours))
        if not any(each.f_code.co_name == "<module>" for each in stack):
            calls.add((name(stack[1]) if len(stack) > 1 else None, name(frame)))

    gc.collect()
    gc.disable()  # it ends what other tests have left wherever it comes to run
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        gc.enable()


def _stack(frame: FrameType | None, ours: tuple[str, ...]) -> Iterator[FrameType]:
    while frame is not None:
        if frame.f_code.co_filename.startswith(ours):
            yield frame
        frame = frame.f_back


def compose(main: Callable[..., Any], folder: Path) -> None:
    """Render two pictures and four backgrounds, and compose them by the `rssn` command, without workers."""
    rng = np.random.default_rng(0)
    for part in ("matting/original", "matting/mask", "backgrounds"):
        (folder / part).mkdir(parents=True)
    disc = np.clip((30 - np.hypot(*np.mgrid[-48:48, -36:36])) * 25, 0, 255).astype(np.uint8)
    for number in range(4):
        picture = encode_jpeg(rng.integers(0, 255, (96, 72, 3), dtype=np.uint8))
        (folder / "backgrounds" / f"{number}.jpg").write_bytes(picture)
        if number < 2:
            (folder / "matting" / "original" / f"{number}.jpg").write_bytes(picture)
            (folder / "matting" / "mask" / f"{number}.png").write_bytes(encode_png(disc))
    words = ["compose", "--k", "4", "--workers", "0", "--denoiser", "nlmeans", "--foreground", "multiply"]
    for option in ("matting", "backgrounds", "out", "cache-dir"):
        words += [f"--{option}", str(folder / option)]
    main(words, standalone_mode=False)


def _print_way() -> None:
    from pipelines.cli import main  # noqa: PLC0415  (what is measured)

    with TemporaryDirectory() as folder, recorded() as calls:
        compose(main, Path(folder))
    print(*sorted(files_entered(calls)), sep="\n")  # noqa: T201
    print(*(f"{low} calls {high}" for low, high in sorted(climbs(calls))), sep="\n")  # noqa: T201


if __name__ == "__main__":
    _print_way()
