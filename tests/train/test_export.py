from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rssn.errors import DependencyError, InputError, Rejected, RssnError
from train import export
from train.export import export_network
from train.network.gfm import GFM, seeded_gfm
from train.network.published import PublishedGFM
from train.rosta import Rosta

IMAGE = torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(9))


def alpha_of(network: GFM | PublishedGFM) -> np.ndarray:
    with torch.inference_mode():
        return export.Exported(network)(IMAGE)[0].numpy()


@pytest.mark.parametrize("rosta", list(Rosta))
def test_onnxruntime_gives_the_networks_alpha(rosta: Rosta, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = seeded_gfm("tiny", rosta, 2).eval()
    assert export_network(network, tmp_path / "gfm.onnx", "onnx", (64, 96)) < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["gfm.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "gfm.onnx"))
    assert [each.name for each in session.get_outputs()] == ["alpha", "focus", "scores"]
    alpha, focus = session.run(["alpha", "focus"], {"image": IMAGE.numpy()})
    assert (np.abs(alpha - alpha_of(network)) > 1e-4).mean() < 1e-3
    with torch.inference_mode():
        np.testing.assert_allclose(focus, network.evidence(IMAGE)[1].numpy(), atol=1e-5)
    assert focus.std() > 50 * 1e-5


@pytest.mark.parametrize("ablations", [(), ("single",)])
def test_torchscript_gives_the_networks_alpha(ablations: tuple[str, ...], tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2, ablations=ablations).eval()
    export_network(network, tmp_path / "gfm.ts", "torchscript", (64, 96))
    alpha = torch.jit.load(str(tmp_path / "gfm.ts"))(IMAGE)[0].detach().numpy()
    np.testing.assert_allclose(alpha, alpha_of(network), atol=1e-5)


def test_a_released_network_takes_zero_to_one_there_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PublishedGFM("r34", Rosta.FT).eval()
    export_network(network, tmp_path / "gfm.ts", "torchscript", (64, 96))
    focus = torch.jit.load(str(tmp_path / "gfm.ts"))(IMAGE)[1].detach()
    with torch.inference_mode():
        torch.testing.assert_close(focus, network(255 * IMAGE).focus, atol=1e-5, rtol=0)


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    write = export._write_torchscript
    monkeypatch.setattr(export, "_write_torchscript", lambda *words: [0.9 * value for value in write(*words)])
    with pytest.raises(RssnError, match="not written; what it computes differs from the network: focus by"):
        export_network(network, tmp_path / "gfm.ts", "torchscript", (64, 96))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_network_that_gives_no_numbers_is_not_written(kind: str, tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    with torch.no_grad():
        network.encoder.stages[0][0].weight.fill_(3e38)
    with pytest.raises(Rejected, match="gives values that are not finite"):
        export_network(network, tmp_path / "gfm", kind, (64, 96))
    assert list(tmp_path.iterdir()) == []


def test_sizes_are_multiples_of_32(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--size 64 100: must be multiples of 32"):
        export_network(seeded_gfm("tiny", Rosta.TT, 2), tmp_path / "a.onnx", "onnx", (64, 100))


def test_missing_packages_are_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded_gfm("tiny", Rosta.TT, 2).eval()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(DependencyError, match=r"onnxscript is not installed: pip install 'rssn\[onnx\]'"):
        export_network(network, tmp_path / "a.onnx", "onnx", (64, 96))
