"""The gap meter in a study: a row's composites against the photographs of its foregrounds, beside what networks do.

A row may have several foreground sets; their composites are measured as one set, against the photographs as `rssn pack`
stores them, so that storage is the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from pipelines.commands.gap import MeterOptions
from pipelines.gap.job import run_gap
from pipelines.gap.result import GapJob
from pipelines.gap.sources import Joined, open_set
from rssn.storage.location import Location
from train.commands.options import PLACE
from train.commands.typed import group, option, takes

MEASURED = "composites"
"""Their name in `gap.json`."""


@dataclass(frozen=True)
class MeterJob:
    """What is measured of one row, and where it goes."""

    composed: tuple[Location, ...] = option("--composed", type=PLACE, multiple=True, required=True, help="Composites.")
    real: tuple[Location, ...] = option("--real", type=PLACE, multiple=True, required=True, help="Packed photographs.")
    out: Location = option("--out", type=PLACE, required=True, help="Folder of gap.html and gap.json.")
    meter: MeterOptions = group(MeterOptions)


def measure(job: MeterJob) -> None:
    """Measure one row.

    Raises:
        DependencyError: If scikit-learn is not installed.
        InputError: If either side has too few foregrounds.
    """
    composed, real = (
        Joined(tuple(open_set(place, job.meter.foregrounds) for place in places)) for places in (job.composed, job.real)
    )
    run_gap(GapJob({MEASURED: composed}, real, job.out, job.meter.at, job.meter.seed))


@click.command()
@takes(MeterJob)
def meter(job: MeterJob) -> None:
    """Measure a row's composites against the photographs of their foregrounds."""
    measure(job)


if __name__ == "__main__":
    meter()
