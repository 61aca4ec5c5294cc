"""The authors' released checkpoints, read into a network that gives the same mattes."""

from __future__ import annotations

from collections.abc import Mapping

from rssn.storage.location import Location, parse_location
from rssn.storage.weights import find_state
from train.checkpoint import Checkpoint, save_checkpoint
from train.config import Plain
from train.network.published import PublishedGFM
from train.network.strategy import PAPER_SCALES
from train.network.weights import read_state
from train.targets.rosta import Rosta


def load_published(
    path_or_state_dict: str | Location | Mapping[str, object], backbone: str, rosta: Rosta | str
) -> PublishedGFM:
    """Load a released checkpoint (`gfm_r34_tt.pth`, ...).

    Args:
        path_or_state_dict: The file or its URL, read without running any code from it, or its content; bare or
            wrapped, see `rssn.storage.weights.find_state`.
        backbone: `r34`, `d121`, `r34_2b` or `r101`.
        rosta: `TT`, `FT` or `BT`, in any case.

    Returns:
        A network in `eval` mode. It takes N x 3 x H x W RGB float32 in 0 to 255 and gives an object with `glance`,
        `focus` and `alpha`, equal to theirs.

    Raises:
        InputError: If the file is another network's; the message names the difference.
    """
    network = PublishedGFM(backbone, Rosta(rosta))
    if isinstance(path_or_state_dict, Mapping):
        network.load_released(find_state(path_or_state_dict, "the state dict"), "the state dict")
    else:
        place = parse_location(path_or_state_dict) if isinstance(path_or_state_dict, str) else path_or_state_dict
        network.load_released(read_state(place, "the checkpoint"), str(place))
    return network.eval()


def import_published(path: Location, backbone: str, rosta: Rosta, out: Location) -> PublishedGFM:
    """Write a released checkpoint in our format, for `train eval`, `predict` and `export`.

    Raises:
        InputError: As `load_published` does.
    """
    network = load_published(path, backbone, rosta)
    config: dict[str, Plain] = {"backbone": backbone, "rosta": str(rosta), "published": 1}
    scales = PAPER_SCALES.to_plain()
    save_checkpoint(out, Checkpoint(step=0, config=config, model=network.state_dict(), scales=scales))
    return network
