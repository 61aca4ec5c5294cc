from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rssn.errors import DependencyError, Rejected, RssnError
from rssn.image.arrays import encode_jpeg, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.synthetic import render_shot
from tests.train.seeded import seeded_gfm
from train.evaluation.inference import predict_alpha
from train.export import EXTRA_FILE, FreePooling, card_path, describe, export_network
from train.network.gfm import GFM, decide, fuse
from train.network.published import PublishedGFM
from train.network.strategy import Strategy
from train.targets.rosta import Rosta

SEEN = Strategy(480)
SIZES = [(1, 32, 32), (2, 64, 96), (1, 224, 160), (3, 320, 256)]


def picture(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(width))


def lively(network: GFM, image: torch.Tensor) -> GFM:
    """The network, its heads changed so that every class occurs and no sigmoid saturates on a picture."""
    assert network.glance is not None
    with torch.no_grad():
        logits = network.decode((image - network.mean) / network.std)
        for decoder, found in zip((network.glance, network.focus), logits, strict=True):
            head = [each for each in decoder.blocks[0] if isinstance(each, nn.Conv2d)][-1]
            mean, deviation = found.mean((0, 2, 3)), found.std((0, 2, 3))
            head.weight /= deviation.view(-1, 1, 1, 1)
            head.bias -= mean
            head.bias /= deviation
    return network


def expected(network: GFM | PublishedGFM, image: torch.Tensor) -> list[np.ndarray]:
    """Alpha, focus and scores by the network itself, with the pooling that it was trained with."""
    with torch.inference_mode():
        scores, focus = network.evidence(image)
        return [each.numpy() for each in (fuse(decide(scores), focus, network.rosta), focus, scores)]


def check(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert (np.abs(found[0] - wanted[0]) > 1e-4).mean() < 1e-3  # where two classes meet, a digit decides
    for one, other in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max(initial=0)))
    assert wanted[1].std() > 50 * 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "rosta", "ablations"),
    [
        ("tiny", Rosta.TT, ()),
        ("tiny", Rosta.FT, ("no-ppm",)),
        ("tiny", Rosta.BT, ()),
        ("tiny", Rosta.TT, ("single",)),
        ("timm:tf_efficientnet_lite0", Rosta.TT, ()),
    ],
)
def test_onnxruntime_gives_the_networks_alpha_at_any_batch_and_size(
    backbone: str, rosta: Rosta, ablations: tuple[str, ...], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = seeded_gfm(backbone, rosta, 2, ablations=ablations).eval()
    assert export_network(network, tmp_path / "gfm.onnx", "onnx", SEEN) < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"gfm.onnx", "gfm.onnx.md"}
    session = onnxruntime.InferenceSession(str(tmp_path / "gfm.onnx"))
    assert [each.name for each in session.get_outputs()] == ["alpha", "focus", "scores"]
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map == describe(network, SEEN)
    for size in SIZES:
        image = picture(*size)
        check(session.run(None, {"image": image.numpy()}), expected(network, image))


@pytest.mark.slow
@pytest.mark.parametrize("ablations", [(), ("single",)])
def test_torchscript_gives_the_networks_alpha_at_any_batch_and_size(ablations: tuple[str, ...], tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2, ablations=ablations).eval()
    export_network(network, tmp_path / "gfm.ts", "torchscript", SEEN)
    kept = {EXTRA_FILE: ""}
    written = torch.jit.load(str(tmp_path / "gfm.ts"), _extra_files=kept)
    assert json.loads(kept[EXTRA_FILE]) == describe(network, SEEN)
    for size in SIZES:
        image = picture(*size)
        check([each.detach().numpy() for each in written(image)], expected(network, image))


@pytest.mark.parametrize("cells", [1, 3, 5])
def test_free_pooling_is_adaptive_pooling(cells: int) -> None:
    for height, width in ((1, 1), (2, 3), (4, 7), (25, 50), (34, 31)):
        feature = torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(height))
        torch.testing.assert_close(FreePooling(cells)(feature), nn.AdaptiveAvgPool2d(cells)(feature))


def test_a_network_is_left_as_it_was(tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    export_network(network, tmp_path / "gfm.ts", "torchscript", SEEN)
    assert not any(isinstance(each, FreePooling) for each in network.modules())


@pytest.mark.slow
def test_a_released_network_takes_zero_to_one_there_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PublishedGFM("r34", Rosta.FT).eval()
    export_network(network, tmp_path / "gfm.ts", "torchscript", SEEN)
    image = picture(1, 64, 96)
    focus = torch.jit.load(str(tmp_path / "gfm.ts"))(image)[1].detach()
    with torch.inference_mode():
        torch.testing.assert_close(focus, network(255 * image).focus, atol=1e-5, rtol=0)


def test_metadata_say_how_a_photograph_is_to_be_seen() -> None:
    found = describe(seeded_gfm("tiny", Rosta.BT, 2), SEEN)
    assert (found["network"], found["stride"], found["max_side"]) == ("GFM-BT(tiny)", "32", "480")
    assert "RGB, 0 to 1; H and W are multiples of 32" in found["image"]
    assert "longer side at most 480 px" in found["scale"]
    assert describe(seeded_gfm("tiny", Rosta.BT, 2), Strategy(0))["max_side"] == "0"
    assert describe(seeded_gfm("tiny", Rosta.BT, 2), Strategy(1620, share=0.4))["share"] == "0.4"


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    pool = FreePooling.forward
    monkeypatch.setattr(FreePooling, "forward", lambda self, feature: 50 * pool(self, feature))
    with pytest.raises(RssnError, match="not written; what it computes differs from the network: "):
        export_network(network, tmp_path / "gfm.ts", "torchscript", SEEN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_size_that_became_a_constant_is_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()

    def shares(pooling: FreePooling, feature: torch.Tensor, axis: int) -> torch.Tensor:
        return torch.ones(pooling.cells, int(feature.shape[axis])) / int(feature.shape[axis])

    monkeypatch.setattr(FreePooling, "_shares", shares)
    with pytest.raises(RssnError, match=r"not written; the file fails on 1 x 3 x 32 x 64 px: "):
        export_network(network, tmp_path / "gfm", kind, SEEN)
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_cannot_express_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pooling that `FreePooling` stands for is such a thing, where the size is free."""
    monkeypatch.setattr(FreePooling, "forward", lambda self, feature: nn.AdaptiveAvgPool2d(self.cells)(feature))
    with pytest.raises(RssnError, match="--format onnx: nothing written; it cannot express the network: Unsupported"):
        export_network(seeded_gfm("tiny", Rosta.TT, 2).eval(), tmp_path / "gfm.onnx", "onnx", SEEN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_network_that_gives_no_numbers_is_not_written(kind: str, tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    with torch.no_grad():
        network.encoder.stages[0][0].weight.fill_(3e38)
    with pytest.raises(Rejected, match="gives values that are not finite"):
        export_network(network, tmp_path / "gfm", kind, SEEN)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(DependencyError, match=r"onnxruntime is not installed: pip install 'rssn\[onnx\]'"):
        export_network(network, tmp_path / "a.onnx", "onnx", SEEN)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.parametrize(
    ("size", "strategy"), [((500, 333), Strategy(400, share=0.4)), ((330, 500), SEEN), ((50, 75), Strategy(0))]
)
def test_a_strangers_lines_give_our_matte(
    kind: str, size: tuple[int, int], strategy: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the card, run as they stand there, on a rendered photograph as a file."""
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    photo = render_shot(4, *size).image
    image = torch.from_numpy(photo[: size[1] // 32 * 32, : size[0] // 32 * 32].transpose(2, 0, 1)[None].copy())
    network = lively(seeded_gfm("tiny", Rosta.TT, 2).eval(), image)
    export_network(network, tmp_path / "gfm.net", kind, strategy)
    Path("photo.jpg").write_bytes(encode_jpeg(to_uint8(photo)))
    code = card_path(tmp_path / "gfm.net").read_text().partition("```python\n")[2].partition("```")[0]
    found: dict[str, Any] = {}
    exec(compile(code, "card", "exec"), found)  # noqa: S102
    assert not re.search(r"(import|from) (rssn|train)", code)
    ours = predict_alpha([network], decode_image(Path("photo.jpg").read_bytes()), strategy)
    assert found["alpha"].shape == ours.shape == size[::-1]
    assert (np.abs(found["alpha"] - ours) > 1e-4).mean() < 1e-3
    written = decode_pixels(Path("alpha.png").read_bytes())[..., 0].astype(int)
    assert (np.abs(written - to_uint8(ours)) > 1).mean() < 1e-3
    assert ours.std() > 0.2
