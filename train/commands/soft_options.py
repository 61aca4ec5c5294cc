"""Options of `train eval --method sss`, and which options of either method do nothing with the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rssn.errors import InputError
from rssn.storage.location import Location
from train.commands.effect import refuse_given
from train.commands.options import WEIGHTS_FILE, NetworkOptions, checkpoint_option, use_all_cpus
from train.commands.typed import option
from train.soft_segments.settings import Settings

if TYPE_CHECKING:
    from train.soft_segments.encoder import FeatureSource
    from train.soft_segments.method import SoftSegmentation

_SETTINGS = Settings()


@dataclass(frozen=True)
class NetworkOrEncoderOptions(NetworkOptions):
    """Trained networks; soft segmentation needs the encoder of one, or another encoder."""

    checkpoints: tuple[Location, ...] = checkpoint_option(required=False)


@dataclass(frozen=True)
class SoftOptions:
    """How photographs are segmented softly."""

    backbone: str | None = option("--backbone", help="sss: the encoder that features come from, as for `train run`.")
    encoder_weights: Location | None = option(
        "--encoder-weights", type=WEIGHTS_FILE, help="sss: its weights: a file, or package:NAME.  [with --backbone]"
    )
    side: int = option(
        "--sss-side",
        type=int,
        default=_SETTINGS.side,
        help="sss: longer side at which layers are made, px; 320 takes about two CPU-minutes and 1.3 GB a photograph.",
    )
    seed: int = option("--seed", type=int, default=_SETTINGS.seed, help="sss: of its clusters.")

    @property
    def settings(self) -> Settings:
        """What layers are made with.

        Raises:
            InputError: If the side is too small or too large.
        """
        return Settings(self.side, self.seed)

    def methods(self, networks: NetworkOptions, out: Location) -> list[tuple[SoftSegmentation, Location]]:
        """Both choices of the same layers, each with the folder of its results: the automatic one first.

        Args:
            networks: Whose encoder gives features, where one is given.
            out: Where layers, their pictures and results go.

        Raises:
            InputError: If the side is too small or too large, or there is no encoder that has learned.
            DependencyError: If a library is not installed.
        """
        from train.soft_segments.libraries import require_libraries  # noqa: PLC0415  (loads torch below)
        from train.soft_segments.method import Choice, SoftSegmentation  # noqa: PLC0415
        from train.soft_segments.store import LayerStore  # noqa: PLC0415

        settings = self.settings
        require_libraries()
        store = LayerStore(out / "layers", self._source(networks), settings)
        folders = {Choice.AUTOMATIC: out, Choice.ORACLE: out / "oracle"}
        return [(SoftSegmentation(store, choice, out / "sheets"), folder) for choice, folder in folders.items()]

    def _source(self, networks: NetworkOptions) -> FeatureSource:
        """The encoder with its weights."""
        from train.soft_segments.encoder import FeatureSource  # noqa: PLC0415  (loads torch)

        use_all_cpus()
        if networks.checkpoints and not self.backbone:
            return FeatureSource.of_checkpoint(networks.checkpoints[0], networks.weights)
        if self.backbone and self.encoder_weights:
            return FeatureSource.of_weights(self.backbone, self.encoder_weights)
        words = "features of random weights mean nothing; give --backbone with its --encoder-weights, or a --checkpoint"
        raise InputError(f"--method sss: it needs an encoder that has learned: {words}")

    def refuse_idle(self, method: str, networks: NetworkOptions) -> None:
        """Refuse options that would do nothing.

        Raises:
            InputError: Naming one.
        """
        if method != "sss":
            for name in ("--backbone", "--encoder-weights", "--sss-side", "--seed"):
                refuse_given(name, "it is for --method sss")
            return
        refuse_given("--max-side", "--method sss reduces photographs to --sss-side")
        refuse_given("--hybrid", "--method sss has no glance and no focus; leave it out")
        if networks.checkpoints:
            for name in ("--backbone", "--encoder-weights"):
                refuse_given(name, "--checkpoint brings its encoder; leave one of them out")
        else:
            refuse_given("--weights", "there is no --checkpoint; the encoder's file is given with --encoder-weights")
        if not self.backbone:
            refuse_given("--encoder-weights", "there is no --backbone that they are of")
        if len(networks.checkpoints) > 1:
            raise InputError("--checkpoint: --method sss takes the encoder of one; leave the others out")
