"""What `train eval` evaluates: anything that gives a matte of a photograph. Trained networks are the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rssn.image.arrays import Alpha
from train.checkpoint import Network
from train.evaluation.examples import Truth
from train.evaluation.inference import predict_alpha
from train.network.strategy import Strategy


class Method(Protocol):
    """A way from a photograph to its matte."""

    @property
    def name(self) -> str:
        """The first column of Table 1."""

    @property
    def view(self) -> str:
        """What it sees of a photograph, in words."""

    @property
    def networks(self) -> int:
        """How many networks predict the matte."""

    def predict(self, name: str, truth: Truth) -> Alpha:
        """The matte of a photograph.

        Args:
            name: Of the photograph.
            truth: The photograph; its true matte is for upper bounds alone.

        Returns:
            H x W float32 in [0, 1].

        Raises:
            Rejected: If there is none.
        """


@dataclass(frozen=True)
class TrainedNetworks:
    """A network, or an ensemble."""

    members: Sequence[Network]  # in `eval` mode; several: the median of their mattes
    strategy: Strategy | None = None  # what they see of a photograph; None: each what training saw

    @property
    def name(self) -> str:
        """As Table 1 has it, or Table 2 for an ensemble."""
        names = [network.name for network in self.members]
        families = {network.family for network in self.members}
        ensemble = f"{families.pop()}-ENS" if len(families) == 1 else "ENS"
        return names[0] if len(names) == 1 else f"{ensemble}({', '.join(names)})"

    @property
    def view(self) -> str:
        """What they see, in words."""
        own = (Strategy.as_trained(network.scales) for network in self.members)
        return "; ".join(dict.fromkeys(each.describe() for each in ([self.strategy] if self.strategy else own)))

    @property
    def networks(self) -> int:
        """How many there are."""
        return len(self.members)

    def predict(self, _: str, truth: Truth) -> Alpha:
        """See `predict_alpha`."""
        return predict_alpha(self.members, truth.picture, self.strategy)
