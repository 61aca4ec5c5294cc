"""What the commands `rssn` and `train` have in common: subcommands that are loaded when they run, and their errors.

`--help` answers from a table, so that it need not import what the subcommands work with.
"""

from __future__ import annotations

import importlib
import select
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from signal import SIGINT
from typing import Any

import click

from rssn.errors import RssnError
from rssn.stopping import farewell, received, stoppable
from rssn.storage.urls import scrub

SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}
_EXTRAS = {"torch": "train", "torchvision": "train"}


@dataclass(frozen=True)
class Subcommand:
    """One row of a command's table.

    Attributes:
        name: As it is typed.
        place: `module:attribute` of its `click.Command`.
        summary: The first sentence of its help.
        resumes: Whether the same command, run again after it was stopped, continues; else it starts over.
    """

    name: str
    place: str
    summary: str
    resumes: bool = True


class LazyGroup(click.Group):
    """Imports a subcommand when it runs; turns errors, and the signals that stop it, into one line and an exit code.

    Args:
        table: The subcommands, in the order of the work.
        settings: Those of `click.Group`.
    """

    def __init__(self, *, table: Sequence[Subcommand], **settings: Any) -> None:
        super().__init__(**settings)
        self.table = table
        self._rows = {row.name: row for row in table}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None where there is none of this name."""
        if cmd_name in self._rows and cmd_name not in self.commands:
            module, _, attribute = self._rows[cmd_name].place.partition(":")
            self.add_command(getattr(importlib.import_module(module), attribute), cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(row.name, row.summary) for row in self._rows.values()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            with stoppable():
                return super().invoke(ctx)
        except (RssnError, OSError, ModuleNotFoundError) as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                raise  # click ends without a word
            raise click.ClickException(error_line(error)) from error
        except KeyboardInterrupt as error:
            row = self._rows.get(ctx.invoked_subcommand or "")  # None while it is imported
            line, code = farewell(received() or SIGINT, error, resumes=row is None or row.resumes)
            click.echo(f"\n{line}", err=True)
            sys.exit(code)


def _nobody_reads() -> bool:
    """Whether what standard output goes to was closed, as `| head` closes it."""
    try:
        watched = select.poll()
        watched.register(sys.stdout, 0)
        return any(event & select.POLLERR for _, event in watched.poll(0))
    except (OSError, ValueError, AttributeError):  # no file, or no such call on this system
        return False


def error_line(error: RssnError | OSError | ModuleNotFoundError) -> str:
    """An error in one line, without secrets.

    Raises:
        ModuleNotFoundError: If it is no package of an extra of ours: that is a mistake of ours.
    """
    if isinstance(error, ModuleNotFoundError):
        if error.name not in _EXTRAS:
            raise error
        return f"{error.name} is not installed: pip install 'rssn[{_EXTRAS[error.name]}]'"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""  # a full disk names no file
        return scrub(f"{where}{error.strerror or error}")
    return scrub(str(error))
