"""The `rssn` command: the group, and what becomes of errors."""

from __future__ import annotations

import sys
from signal import SIGINT
from typing import Any

import click

from pipelines.commands.composition import compose, pack, replay
from pipelines.commands.curate import build_bg20k
from pipelines.commands.export import export
from pipelines.commands.look import demo, inspect, status
from pipelines.commands.review import review
from pipelines.commands.study import study
from rssn.errors import RssnError
from rssn.stopping import farewell, received, stoppable
from rssn.storage.urls import scrub, shown

_STARTS_OVER = frozenset({"inspect", "replay", "status"})


class _Group(click.Group):
    """Turns our errors, and the signals that stop a command, into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stoppable():
                return super().invoke(ctx)
        except RssnError as error:
            raise click.ClickException(shown(scrub(str(error)))) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""  # a full disk names no file
            raise click.ClickException(shown(scrub(f"{where}{error.strerror or error}"))) from error
        except KeyboardInterrupt as error:
            line, code = farewell(received() or SIGINT, str(error), resumes=ctx.invoked_subcommand not in _STARTS_OVER)
            click.echo(f"\n{line}", err=True)
            sys.exit(code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="rssn")
def main() -> None:
    """Photographs in, trustworthy matting training shards out.

    \b
    rssn demo                                       see it work, without any data
    rssn build-bg20k PHOTOS --out bg20k/            curate backgrounds
    rssn review bg20k/                              check them by eye
    rssn compose --matting AM-2k --backgrounds bg20k/ --k 5 --out shards/
    rssn status shards/                             how far it is, from another terminal
    rssn inspect shards/                            verify, count, look
    rssn study STUDY.yaml --out study/              which route makes the better network?
    """  # noqa: D301


for _command in (demo, build_bg20k, review, compose, pack, status, inspect, replay, export, study):
    main.add_command(_command)


if __name__ == "__main__":
    main()
