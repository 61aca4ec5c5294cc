"""A step that is done only if another one is at work at the same time: `python -m ... FOLDER NAME OTHER`.

Says how many threads it was given.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pipelines.executor.runner import THREADS


def main(folder: Path, name: str, other: str) -> None:
    sys.stdout.write(" ".join(os.environ[name] for name in THREADS) + "\n")
    (folder / name).touch()
    deadline = time.monotonic() + 300
    while not (folder / other).exists():
        if time.monotonic() > deadline:
            sys.exit(f"{name} never met {other}")
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
