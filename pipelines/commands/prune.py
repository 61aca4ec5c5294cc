"""`rssn prune`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from pipelines.compose.prune import PruneJob, find_gone, run_prune
from rssn.sources.layouts import LAYOUT_NAMES
from rssn.storage.location import Location
from train.commands.options import PLACE
from train.commands.typed import argument, option, takes


@dataclass(frozen=True)
class PruneOptions:
    """What `rssn prune` is asked to do."""

    out: Location = argument(type=PLACE)
    matting: Location = option(
        "--matting", required=True, type=PLACE, help="The foregrounds with their mattes, as they are now."
    )
    backgrounds: Location | None = option(
        "--backgrounds", type=PLACE, help="The backgrounds, as they are now.  [default: none is removed]"
    )
    matting_format: str | None = option(
        "--matting-format",
        type=click.Choice(LAYOUT_NAMES, case_sensitive=False),
        help="Layout of the matting data set.  [default: as composed]",
    )
    dry_run: bool = option("--dry-run", is_flag=True, help="Say what would be removed; write nothing.")

    @property
    def job(self) -> PruneJob:
        """The job."""
        return PruneJob(self.out, self.matting, self.backgrounds, self.matting_format)


@click.command()
@takes(PruneOptions)
def prune(given: PruneOptions) -> None:
    """Remove the composites of pictures that are not at their source any more.

    Nothing else removes them. A picture that was changed is not there any more either; one that cannot be read stops
    the command. Killed at any moment, the same command or rssn compose finishes what it began.
    """
    if given.dry_run:
        for line in find_gone(given.job).lines("would remove"):
            click.echo(line)
        return
    damaged = run_prune(given.job, lambda gone: click.echo("\n".join(gone.lines("removing"))))
    for name in damaged:
        click.echo(f"does not match its mark, rssn compose makes it again without them: {name}", err=True)
    if damaged:
        sys.exit(1)
