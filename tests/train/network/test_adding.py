"""A backbone is one row: the README's example is added, built, loaded with published weights, and described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from rssn.errors import InputError
from rssn.vision import torchvision_models
from tests.train.readme import run_example
from train.cli import main
from train.network.backbones import BACKBONES, backbone_named
from train.network.gfm import GFM


@pytest.fixture
def _added() -> Iterator[None]:
    before = dict(BACKBONES)
    run_example("How to add a backbone")
    yield
    BACKBONES.clear()
    BACKBONES.update(before)


@pytest.mark.usefixtures("_added")
def test_a_network_is_built_on_it_with_published_weights(tmp_path: Path) -> None:
    published = torchvision_models().resnet18(weights=None).state_dict()
    torch.save(published, tmp_path / "resnet18.pth")
    network = GFM("r18", "TT", tmp_path / "resnet18.pth").eval()
    assert network.name == "GFM-TT(r18)"
    torch.testing.assert_close(
        network.state_dict()["encoder.stages.4.1.conv2.weight"], published["layer4.1.conv2.weight"]
    )
    image = torch.rand(1, 3, 64, 64)
    assert [tuple(each.shape[1:]) for each in network.encoder(image)] == [
        (64, 32, 32),
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]
    assert network(image).alpha.shape == (1, 1, 64, 64)


@pytest.mark.usefixtures("_added")
def test_the_command_knows_it() -> None:
    shown = CliRunner().invoke(main, ["describe", "--backbone", "r18", "--rosta", "TT", "--no-time"])
    assert shown.exit_code == 0, shown.output
    name, parameters, *_ = shown.stdout.splitlines()[1].split()
    assert name == "GFM-TT(r18)"
    assert float(parameters) == pytest.approx(54.77 - 10.11, abs=0.02)  # as r34, without ten million of its residuals


def test_without_the_row_there_is_no_such_backbone() -> None:
    with pytest.raises(InputError, match="--backbone r18: unknown; choose one of r34, d121"):
        backbone_named("r18")
