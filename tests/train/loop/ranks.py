"""Two processes that train together, as `torchrun` starts them: `python -m tests.train.loop.ranks run ...`.

Both are forked from one that has imported all that they need, which takes them most of a short run's time otherwise.
"""

from __future__ import annotations

import importlib
import os
import sys

from torch.distributed import TCPStore

from train.cli import main

SIZE = 2
NEEDED = ("train.loop.loop", "train.evaluation.validation", "torch._dynamo")  # the last by an optimiser's first step


def rank(number: int, port: int, words: list[str]) -> int:
    """Run `train` as one of the processes; its exit code."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ.update(place, RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(SIZE))
    try:
        main(words, prog_name="train")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def start(words: list[str]) -> int:
    """Fork the processes before this one has a thread, and then hold the store that they meet at."""
    for name in NEEDED:
        importlib.import_module(name)
    readers, children = [], []
    for number in range(SIZE):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = rank(number, int(os.read(reader, 16)), words)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        readers.append(writer)
        children.append(pid)
    store = TCPStore("127.0.0.1", 0, SIZE, is_master=True, wait_for_workers=False)
    for writer in readers:
        os.write(writer, str(store.port).encode())
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256 for pid in children)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
