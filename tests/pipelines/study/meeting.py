"""A step that is done only if another one is at work at the same time: `python -m ... FOLDER NAME OTHER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(folder: Path, name: str, other: str) -> None:
    (folder / name).touch()
    deadline = time.monotonic() + 60
    while not (folder / other).exists():
        if time.monotonic() > deadline:
            sys.exit(f"{name} never met {other}")
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
