"""A step that outlives whoever started it, as a training that saves first: `python -m ... FOLDER`.

As `train run` does, it holds its folder, and refuses to work where another one is at work.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from rssn.storage.lease import hold_lease


def main(folder: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with hold_lease(folder / "out"):
        first = not (folder / "events").exists()
        with (folder / "events").open("a", encoding="ascii", buffering=1) as events:
            events.write("began\n")
            time.sleep(4 if first else 0)
            events.write("ended\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
