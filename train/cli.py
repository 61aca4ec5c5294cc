"""The `train` command: the group, and what becomes of errors.

torch is imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from signal import SIGINT
from typing import Any

import click

from rssn.errors import RssnError
from rssn.stopping import farewell, received, stoppable
from train.commands.export import export
from train.commands.judge import evaluate
from train.commands.network import describe, import_released
from train.commands.predict import predict
from train.commands.run import run

_EXTRAS = {"torch": "train", "torchvision": "train"}


class _Commands(click.Group):
    """Turns every error that the project raises on purpose, and the signals that stop a command, into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stoppable():
                return super().invoke(ctx)
        except RssnError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""  # a full disk names no file
            raise click.ClickException(f"{where}{error.strerror or error}") from error
        except ModuleNotFoundError as error:
            if error.name not in _EXTRAS:
                raise
            raise click.ClickException(f"{error.name} is not installed: pip install 'rssn[train]'") from error
        except KeyboardInterrupt as error:
            line, code = farewell(
                received() or SIGINT, str(error), resumes=ctx.invoked_subcommand in ("run", "predict")
            )
            click.echo(f"\n{line}", err=True)
            sys.exit(code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train, judge and use GFM, the Glance and Focus Matting network.

    \b
    train run --data shards/ --backbone r34 --rosta TT --out runs/first
    train eval --checkpoint runs/first/last.pt --data AM-2k/validation
    train predict --checkpoint runs/first/last.pt photo.jpg
    """  # noqa: D301
    # Read once, when torch is loaded. Threads that wait busily for one whose core is taken by a loader process or by
    # another program make a training step several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


for command in (run, evaluate, predict, import_released, export, describe):
    main.add_command(command)


if __name__ == "__main__":
    main()
