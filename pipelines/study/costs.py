"""What a step is expected to cost, by the pictures that it reads and the network that it runs; for forecasts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from pipelines.compose.dry_run import cpu_seconds
from pipelines.study.steps import Kind, Step, listing, settings
from rssn.errors import DependencyError, Rejected
from rssn.image.arrays import read_bytes
from rssn.image.decoding import picture_size
from rssn.image.picture_files import SUFFIX_FORMATS
from rssn.route.recipe import chosen_recipe, load_recipe
from rssn.sources.layouts import find_pairs
from train.network.strategy import PAPER_SCALES, Strategy
from train.targets.rosta import Rosta

_STARTING = 12.0  # of a command and its workers
_PER_PHOTOGRAPH = 0.5  # read, hash and detect
_PER_JUDGED = 2.0  # the metrics of a matte
_CORE, _GPU = 20.0, 3000.0  # GMac a second of one core; of a GPU, an assumption
_SCALING = 0.75  # of threads, an assumption: n of them run a network n to this power as fast as one
_PASSES = 3  # forward and backward, in forwards
_UNSEEN = (1_000, 1.0)  # pictures and megapixels of each, of shards, which are not opened for a forecast
_SIDE = 320  # at which networks are counted, px


@dataclass
class Costs:
    """Expected costs; what was counted once is remembered.

    Args:
        gpus: Whether networks run on GPUs.
    """

    gpus: bool = False
    _sizes: dict[Path, list[float]] = field(default_factory=dict)
    _gmac: dict[str, float] = field(default_factory=dict)

    def seconds(self, step: Step, threads: int = 1) -> float:
        """Of one core; a network runs on a GPU, or on so many threads.

        Raises:
            InputError: If an input is missing, or no network has the name.
            DependencyError: If the network's library is not installed.
        """
        of: Mapping[Kind, Callable[[Step], float]] = {
            "curate": self._curate,
            "compose": self._compose,
            "pack": self._pack,
            "train": lambda training: self._train(training) / self.faster(threads),
            "eval": lambda judging: self._evaluate(judging, self.faster(threads)),
        }
        return _STARTING + (of[step.kind](step) if step.kind in of else 0.0)

    def faster(self, threads: int) -> float:
        """How many times as fast as one thread a network is taken to run on several; a GPU does not care."""
        return 1.0 if self.gpus else threads**_SCALING

    def _curate(self, step: Step) -> float:
        names = [Path(str(entry[0])) for entry in listing(step.reads[0])]
        return _PER_PHOTOGRAPH * sum(name.suffix.lower() in SUFFIX_FORMATS for name in names)

    def _compose(self, step: Step) -> float:
        """As if every composite had a background of its own, of the foreground's size."""
        given = settings(step)
        recipe = chosen_recipe(given["recipe"], given["denoiser"], k=given["k"], foreground=given["foreground"])
        return cpu_seconds(recipe) * sum(self._megapixels(given["matting"]))

    def _pack(self, step: Step) -> float:
        return cpu_seconds(load_recipe("ori")) * sum(self._megapixels(settings(step)["matting"]))

    def _train(self, step: Step) -> float:
        given = settings(step)
        samples = given["max_steps"] * given["batch_size"] * given["accumulate"]
        megapixels = samples * given["input_size"] ** 2 / 1e6
        return _PASSES * float(megapixels) * self._forward(given["backbone"])

    def _evaluate(self, step: Step, faster: float) -> float:
        given = settings(step)
        networks = sum(self._forward(settings(network)["backbone"]) for network in step.needs) / faster
        strategy = Strategy.parse(given["max_side"], given["hybrid"]) or Strategy.as_trained(PAPER_SCALES)
        most = strategy.max_side**2 / 1e6 or inf
        seen = sum(
            share**2 for share in strategy.hybrid or (strategy.share,)
        )  # of its pixels: each of the two runs the network
        return sum(_PER_JUDGED + networks * seen * min(size, most) for size in self._megapixels(given["data"]))

    def _megapixels(self, place: Path) -> list[float]:
        """Of the pictures of a matting data set."""
        if place not in self._sizes:
            shards = (place / "manifest.json").is_file()
            self._sizes[place] = [_UNSEEN[1]] * _UNSEEN[0] if shards else _measured(place)
        return self._sizes[place]

    def _forward(self, backbone: str) -> float:
        """Seconds for a megapixel."""
        try:
            from train.network.complexity import measure  # noqa: PLC0415
        except ImportError as error:
            raise DependencyError("the study trains networks: pip install 'rssn[train]'") from error
        if backbone not in self._gmac:
            self._gmac[backbone] = measure(backbone, Rosta.TT, timed=False, side=_SIDE).gmac / (_SIDE**2 / 1e6)
        return self._gmac[backbone] / (_GPU if self.gpus else _CORE)


def _measured(place: Path) -> list[float]:
    sizes = []
    for pair in find_pairs(place).pairs:
        try:
            width, height = picture_size(read_bytes(pair.picture))
        except Rejected:  # it will be a row of the rejects
            continue
        sizes.append(width * height / 1e6)
    return sizes
