"""What the commands share: types of options, threads, progress, and how failures are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from rssn.errors import InputError
from rssn.image.picture_files import unread_words
from rssn.progress import Progress
from rssn.sources.folder_walk import is_special
from rssn.sources.names import is_utf8, printable
from rssn.storage.location import BucketPath, Location, parse_location
from rssn.storage.machine import available_cpus
from rssn.storage.urls import is_url, scrub
from rssn.storage.weights import weights_file
from train.commands.typed import option
from train.config import WEIGHTS
from train.targets.rosta import Rosta
from train.validation_sets import split_name

if TYPE_CHECKING:
    from train.checkpoint import Network
    from train.network.strategy import Strategy


class Place(click.Path):
    """A file or folder that a user names, or the URL of one in a bucket.

    Nothing that is waited for or has no end, and nothing whose name is no text.

    Args:
        local: Of a place that must be on this disk, why, as words after the option's name; empty: it may be a URL.
        settings: Those of `click.Path`.
    """

    def __init__(self, *, local: str = "", **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)
        self.local = local

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The `Location`, checked."""
        if isinstance(value, BucketPath):
            return value
        if isinstance(value, str) and is_url(value):
            if self.local:
                raise InputError(f"{scrub(value)}: a URL, but {param.opts[0] if param else 'it'} {self.local}")
            return parse_location(value)
        path = cast(Path, super().convert(value, param, ctx))
        if not is_utf8(str(path)):
            raise InputError(f"{printable(str(path))}: the name is not UTF-8; rename it")
        if is_special(path):
            raise InputError(f"{path}: a pipe, a device or a socket; give a file or a folder")
        return path

    @staticmethod
    def split(word: str) -> tuple[str, str]:
        """A name before it, empty where there is none, and the place."""
        return "", word


class Weights(Place):
    """A file of weights, or `package:NAME` for the one that an installed package brings."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Where it is."""
        return super().convert(weights_file(str(value)), param, ctx)


class NamedWeights(Weights):
    """The same for a part of a network, as `PART=FILE`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The words as they are, checked; that there is such a part is not known here."""
        super().convert(self.split(value)[1], param, ctx)
        return value

    @staticmethod
    def split(word: str) -> tuple[str, str]:
        """The part and the file.

        Raises:
            InputError: If one of them is missing.
        """
        part, _, path = word.partition("=")
        if not part.isidentifier() or not path:
            raise InputError(f"--part-weights {scrub(word)}: give PART=FILE, a part of the network and its weights")
        return part, path


class NamedFolder(Place):
    """Photographs to validate on: a folder or URL, plain or as `NAME=FOLDER`; see `train.validation_sets`."""

    split = staticmethod(split_name)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The words as they are, checked."""
        super().convert(self.split(value)[1], param, ctx)
        return value


FILE = Place(dir_okay=False)
WEIGHTS_FILE = Weights(dir_okay=False)
FOLDER = Place(file_okay=False)
PLACE = Place()
ROSTAS = click.Choice([each.value for each in Rosta], case_sensitive=False)


def use_all_cpus() -> None:
    """Compute with all processors that this process may use, or with as many threads as `OMP_NUM_THREADS` says.

    `torchrun` sets it, so that its processes do not get into one another's way.
    """
    from train.device import chosen_threads, limit_threads  # noqa: PLC0415  (loads torch)

    limit_threads(chosen_threads() or available_cpus())


def counter(progress: Progress) -> Callable[[int], None]:
    """Tell a progress the total before the first item, and 0 after each."""

    def show(total: int) -> None:
        if total:
            progress.expect(total)
        else:
            progress.advance()

    return show


def fail_if(failures: Sequence[str], verdict: str) -> None:
    """End with exit code 1 and the list of what failed, if anything did."""
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        raise click.ClickException(f"{len(failures)} {verdict}:\n{listed}")


def say_unread(unread: Mapping[str, int]) -> None:
    """Tell of files that were passed over, if there are any."""
    if unread:
        click.echo(unread_words(unread), err=True)


def checkpoint_option(*, required: bool) -> Any:
    """Trained networks."""
    return option(
        "--checkpoint",
        type=FILE,
        multiple=True,
        required=required,
        help="last.pt or best.pt of a run; repeat it for an ensemble: the median of their mattes (section 5.4).",
    )


def weights_option() -> Any:
    """Which weights of a checkpoint."""
    return option(
        "--weights",
        type=click.Choice(WEIGHTS, case_sensitive=False),
        help="As the optimiser left them, or their moving average.  [default: ema where the checkpoint has one]",
    )


def max_side_option() -> Any:
    """How large a photograph is seen."""
    return option(
        "--max-side",
        type=int,
        help="Larger photographs are shrunk for the network, px; 0: they are not.  [default: as in training]",
    )


@dataclass(frozen=True)
class NetworkOptions:
    """Trained networks, and what they see of a photograph."""

    checkpoints: tuple[Location, ...] = checkpoint_option(required=True)
    weights: str | None = weights_option()
    max_side: int | None = max_side_option()
    hybrid: tuple[str, str] | None = option(
        "--hybrid",
        nargs=2,
        metavar="D1 D2",
        help="Glance at D1 of the size, focus (or a single decoder) at D2 (section 5.4); in the paper 1/3 1/2.",
    )

    def open(self) -> tuple[list[Network], Strategy | None]:
        """As `open_networks` does."""
        return open_networks(self.checkpoints, self.weights, self.max_side, self.hybrid)


def open_networks(
    checkpoints: Sequence[Location], weights: str | None, max_side: int | None, hybrid: tuple[str, str] | None
) -> tuple[list[Network], Strategy | None]:
    """Load networks; without a strategy each sees photographs as it was trained.

    Raises:
        InputError: If a checkpoint does not say how it was trained, and nothing else is asked for.
    """
    from train.checkpoint import load_network  # noqa: PLC0415  (loads torch, as below)
    from train.device import best_device  # noqa: PLC0415
    from train.network.strategy import Strategy  # noqa: PLC0415

    strategy = Strategy.parse(max_side, hybrid)
    use_all_cpus()
    opened = [load_network(path, best_device(), weights) for path in checkpoints]
    for path, network in zip(checkpoints, opened, strict=True):
        if strategy is not None and strategy.hybrid and not network.hybrid:
            raise InputError(f"--hybrid: {path} is {network.name}, which has no glance and focus; leave it out")
        if strategy is None and network.scales is None:
            words = "an earlier version wrote it, and it does not say at which scale it was trained"
            raise InputError(f"{path}: {words}; give --max-side, about 2 times its --input-size")
    return opened, strategy
