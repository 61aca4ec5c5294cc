"""The `train` command: its subcommands, in the order of the work.

torch is imported when a command runs.
"""

from __future__ import annotations

import os

import click

from train.commands.group import SETTINGS, LazyGroup, Subcommand

_ROOM = "train.commands"

_TABLE = (
    Subcommand("run", f"{_ROOM}.run:run", "Train on shards, or continue a run that stopped."),
    Subcommand(
        "eval",
        f"{_ROOM}.evaluate:evaluate",
        "Evaluate networks on photographs, as the paper's tables do.",
        resumes=False,
    ),
    Subcommand("predict", f"{_ROOM}.predict:predict", "Cut subjects out of photographs."),
    Subcommand(
        "import",
        f"{_ROOM}.network:import_released",
        "Turn a checkpoint that the authors released into one of ours.",
        resumes=False,
    ),
    Subcommand(
        "export",
        f"{_ROOM}.export:export",
        "Write a network for another runtime, and check that it computes the same.",
        resumes=False,
    ),
    Subcommand(
        "describe",
        f"{_ROOM}.network:describe",
        "Show what each network costs, beside the paper's Table 4.",
        resumes=False,
    ),
)


@click.group(cls=LazyGroup, table=_TABLE, context_settings=SETTINGS)
def main() -> None:
    """Train, evaluate and use GFM, the Glance and Focus Matting network, and those that it is compared with.

    \b
    train run --data shards/ --backbone r34 --rosta TT --out runs/first
    train eval --checkpoint runs/first/last.pt --data AM-2k/validation
    train predict --checkpoint runs/first/last.pt photo.jpg
    """  # noqa: D301
    # Read once, when torch is loaded. Threads that wait busily for one whose core is taken by a loader process or by
    # another program make a training step several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


if __name__ == "__main__":
    main()
