from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from tests.train.network.released import calibrate, decode, encode, random_state, released, shapes
from train.checkpoint import load_network
from train.network.backbones import BACKBONES
from train.network.encoders import Encoder
from train.network.gfm import GFM
from train.network.published import PublishedGFM, released_count, released_places
from train.published import import_published, load_published
from train.targets.rosta import Rosta

pytestmark = pytest.mark.slow

COUNTS = {"r34": 55_286_316, "d121": 46_961_772, "r34_2b": 125_878_956, "r101": 497_256_556}
UNUSED = {
    "r34": 513_000,  # the classifier: 512 x 1000 weights, 1000 biases
    "d121": 1024 * 1000 + 1000 + 2 * 1024,  # the classifier, and the norm before it
    "r34_2b": 513_000 + 64 * 3 * 49 + 128 + 64 * 512 * 9 + 64 + 128,  # also ResNet's first layer, and psp1
    "r101": 2048 * 1000 + 1000,
}


@pytest.mark.parametrize("backbone", list(COUNTS))
def test_parameter_counts_equal_the_published_ones(backbone: str) -> None:
    with torch.device("meta"):
        assert released_count(backbone, Rosta.TT) == (COUNTS[backbone], UNUSED[backbone])


@pytest.mark.parametrize(
    ("backbone", "rosta"), [("r34", "TT"), ("r34", "FT"), ("r34", "BT"), ("d121", "TT"), ("r34_2b", "TT")]
)
def test_mattes_equal_the_released_networks(backbone: str, rosta: str, shared: Path) -> None:
    state = random_state(shapes(shared, backbone, rosta), seed=3)
    image = 255 * torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        calibrate(state, backbone, image)
        expected = released(state, backbone, rosta, image)
        found = load_published(state, backbone, rosta)(image)
    assert expected[0].argmax(1).unique().numel() == Rosta(rosta).classes
    for name, reference in zip(("glance", "focus", "alpha"), expected, strict=True):
        assert float(reference.std()) > 0.1, name  # a constant would prove nothing
        torch.testing.assert_close(getattr(found, name), reference, atol=1e-5, rtol=0)


def test_the_encoder_of_r101_equals_the_released_one(shared: Path) -> None:
    """Alone: the whole network has 497 million parameters."""
    named = {name: shape for name, shape in shapes(shared, "r101", "TT").items() if name.startswith("encoder")}
    state = random_state(named, seed=5)
    state |= {name: value / 8 for name, value in state.items() if name.endswith("bn3.weight")}  # 33 sums grow slowly
    encoder = Encoder(BACKBONES["r101"]).eval()
    encoder.load_state_dict({f"stages.{name.removeprefix('encoder')}": value for name, value in state.items()})
    image = torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for found, expected in zip(encoder(image), encode(state, "r101", image), strict=True):
            assert float(expected.std()) > 0.1
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_decoders_wired_as_those_of_r101_equal_the_released_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sixteenth of the channels; that the real ones are as many, the names and shapes above prove."""
    real = BACKBONES["r101"]
    blocks = tuple(tuple(width // 16 for width in widths) for widths in real.blocks)
    channels = tuple(width // 16 for width in real.channels)
    monkeypatch.setitem(BACKBONES, "r101", replace(real, family="plain", model="", channels=channels, blocks=blocks))
    network = GFM("r101", Rosta.TT).eval()
    places = released_places(network.state_dict())
    state = random_state({place: list(network.state_dict()[name].shape) for place, name in places.items()}, seed=6)
    network.load_state_dict({name: state[place] for place, name in places.items()})
    with torch.inference_mode():
        features = network.encoder(torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(1)))
        assert network.glance is not None
        found = network.glance(features), network.focus(features)
        for one, other in zip(found, decode(state, "r101", features), strict=True):
            assert float(other.std()) > 0.1
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rosta", ["TT", "FT", "BT"])
@pytest.mark.parametrize("backbone", list(COUNTS))
def test_every_released_tensor_is_accounted_for(backbone: str, rosta: str, shared: Path) -> None:
    named = shapes(shared, backbone, rosta)
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in named.items()}
        network = PublishedGFM(backbone, Rosta(rosta))
        network.load_released(state, "meta")
        with pytest.raises(InputError, match="has an unknown surplus"):
            network.load_released({**state, "surplus": torch.empty(1)}, "meta")
        for name in ("bridge_block.0.weight", "decoder0_g.0.weight", "resnet.fc.weight", "psp2.0.bias"):
            if name in state:
                with pytest.raises(InputError, match=f"lacks {name}"):
                    network.load_released({key: value for key, value in state.items() if key != name}, "meta")


def test_another_networks_file_is_refused_with_the_difference(shared: Path, tmp_path: Path) -> None:
    named = shapes(shared, "r34", "FT")
    path = tmp_path / "gfm_r34_ft.pth"
    torch.save({name: torch.zeros(shape) for name, shape in named.items()}, path)
    with pytest.raises(InputError, match=r"not the released GFM-TT\(r34\): decoder0_g.6.bias is \(2,\), expected \(3,"):
        load_published(path, "r34", "TT")
    rim = {name: torch.zeros(shape) for name, shape in shapes(shared, "r34", "RIM").items()}
    with pytest.raises(InputError, match=r"has an unknown decoder0_f_bt\.0\.bias"):
        load_published(rim, "r34", "TT")
    with pytest.raises(InputError, match="released are r34, d121, r34_2b, r101"):
        load_published({}, "tiny", "TT")


def test_an_imported_checkpoint_predicts_as_the_released_one(shared: Path, tmp_path: Path) -> None:
    state = random_state(shapes(shared, "r34", "TT"), seed=4)
    path = tmp_path / "gfm_r34_tt.pth"
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 100}
    torch.save(wrapped, path)
    import_published(path, "r34", Rosta.TT, tmp_path / "ours.pt")
    assert torch.equal(load_published(wrapped, "r34", "tt").gfm.focus.blocks[0][6].bias, state["decoder0_f.6.bias"])
    network = load_network(tmp_path / "ours.pt", torch.device("cpu"))
    image = torch.rand((1, 3, 32, 64), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        glance, focus = network.evidence(image)
        expected = released(state, "r34", "TT", 255 * image)
    torch.testing.assert_close(glance, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(focus, expected[1], atol=1e-5, rtol=0)
