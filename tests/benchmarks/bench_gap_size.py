"""What the gap meter's statistics take for 9,000 composites: `python -m tests.benchmarks.bench_gap_size`.

Features are made up, of 500 foregrounds with 18 composites each on 5,000 backgrounds, and 500 photographs; pictures are
read one at a time, and measuring one takes the same however many there are.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import click
import numpy as np

from rssn.gap.classifiers import one_thread
from rssn.gap.cues import CUES
from rssn.gap.measure import measure_gap
from rssn.gap.pictures import SAMPLE, Floats, Measured, Named, Pictures

FOREGROUNDS, COMPOSITES, BACKGROUNDS = 500, 18, 5000


@click.command(help=__doc__)
def main() -> None:
    """Make features, measure, and print."""
    dice = np.random.default_rng(0)
    fronts, behind = (dice.normal(size=(count, len(CUES))) for count in (FOREGROUNDS, BACKGROUNDS))
    composites = Pictures.of(_composites(fronts, behind, dice))
    photographs = Pictures.of(
        _made_up(Named(f"{number}", f"{number}"), (front, dice.normal(size=len(CUES))), SAMPLE, dice)
        for number, front in enumerate(fronts)
    )
    start = time.process_time()
    with one_thread():
        found = measure_gap({"made up": composites}, photographs).sets[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    click.echo(f"{len(composites)} composites, {len(photographs)} photographs: distance {found.distance.area}")
    click.echo(f"{time.process_time() - start:.0f} CPU-s, {peak / 1e9:.2f} GB")


def _composites(fronts: Floats, behind: Floats, dice: np.random.Generator) -> Iterator[Measured]:
    for number, front in enumerate(fronts):
        for k, drawn in enumerate(dice.permutation(len(behind))[:COMPOSITES].tolist()):
            named = Named(f"{number}/{k}", f"{number}", f"{drawn}")
            yield _made_up(named, (front, behind[drawn]), -(-SAMPLE // COMPOSITES), dice)


def _made_up(named: Named, sides: tuple[Floats, Floats], count: int, dice: np.random.Generator) -> Measured:
    front, back = ((each + dice.normal(size=(count, len(CUES)))).astype(np.float32) for each in sides)
    means = np.stack([np.stack([each.mean(0), np.quantile(each, 0.2, axis=0)]) for each in (front, back)])
    return Measured(named, (1440, 1080), (count, count), means.astype(np.float32), (front, back))


if __name__ == "__main__":
    main()
