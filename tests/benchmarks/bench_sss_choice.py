"""SSS: which layers are the foreground, by several rules; mean absolute error in per cent, at the size of the layers.

`python -m tests.benchmarks.bench_sss_choice --set AM-2k/validation RUN` reads the layers that `train eval --method sss
--data AM-2k/validation --out RUN` kept; repeat it for several sets. `as the sheet has it` counts all borders once, on a
prior half as wide; the rules between it and the product's were looked at when that was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import cv2
import numpy as np

from rssn.image.arrays import Alpha, Image
from train.evaluation.examples import find_examples
from train.evaluation.inference import resized
from train.soft_segments.choice import CentreRule, Layers, choose_by_truth, unite
from train.soft_segments.settings import Settings

Chosen = Callable[[Image, Alpha], Layers]

RULES: Mapping[str, CentreRule] = {
    "as the sheet has it": CentreRule(reach=0.5, weight=1.0, lower=True),
    "weight 2": CentreRule(reach=0.5, lower=True),
    "reach 1": CentreRule(weight=1.0, lower=True),
    "both": CentreRule(lower=True),
    "without the lower border": CentreRule(),
}


def errors(layers: Image, alpha: Alpha) -> dict[str, float]:
    """Of one photograph, in per cent, by rule; the automatic ones first."""
    chosen = {name: rule.choose(layers) for name, rule in RULES.items()}
    singles = [_error(layers, (number,), alpha) for number in range(len(layers))]
    return {
        **{name: _error(layers, each, alpha) for name, each in chosen.items()},
        "best single layer": min(singles),
        "oracle": _error(layers, choose_by_truth(layers, alpha), alpha),
        "empty matte": 100 * float(alpha.mean()),
    }


def table(sets: Mapping[str, Sequence[dict[str, float]]]) -> Iterator[str]:
    """The rows, as text: means over the photographs of each set."""
    yield f"{'':<28}" + "".join(f"{f'{name} ({len(each)})':>22}" for name, each in sets.items())
    for rule in next(iter(sets.values()))[0]:
        yield f"{rule:<28}" + "".join(f"{np.mean([one[rule] for one in each]):>22.1f}" for each in sets.values())


def _error(layers: Image, chosen: Layers, alpha: Alpha) -> float:
    return 100 * float(np.abs(unite(layers, chosen) - alpha).mean())


def read_set(data: Path, run: Path, settings: Settings) -> list[dict[str, float]]:
    """The errors of the photographs whose layers lie in a run's folder, made with these settings."""
    found = []
    for example in find_examples(data).examples:
        path = run / "layers" / f"{example.name}.png"
        if path.is_file():
            alpha = example.load().alpha
            width, height = settings.reduced(alpha.shape[1], alpha.shape[0])
            stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / np.float32(65535)
            found.append(errors(stored.reshape(-1, height, width), resized(alpha, (width, height))))
    return found


@click.command()
@click.option("--set", "sets", nargs=2, multiple=True, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--side", type=int, default=Settings().side, help="The --sss-side of the runs.")
def main(sets: Sequence[tuple[Path, Path]], side: int) -> None:
    """Print the table."""
    for line in table({data.name: read_set(data, run, Settings(side)) for data, run in sets}):
        click.echo(line)


if __name__ == "__main__":
    main()
