"""Weights as people have them: wrapped, prefixed, in half precision, as safetensors; and what lies in their place."""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rssn.errors import DependencyError, InputError
from train.network.weights import read_state

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
STATE = {name: value.detach() for name, value in NETWORK.state_dict().items()}


def prefixed(prefix: str, state: Mapping[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def trained() -> dict[str, object]:
    """What a training script saves: the network beside an optimiser, settings and figures, some of foreign classes."""
    optimiser = torch.optim.Adam(NETWORK.parameters())
    NETWORK(torch.rand(2, 3, 8, 8)).sum().backward()
    optimiser.step()
    NETWORK.load_state_dict(STATE)
    return {
        "epoch": 3,
        "arch": "gfm",
        "state_dict": prefixed("module."),
        "optimizer": optimiser.state_dict(),
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(0.5),
        "rng": torch.get_rng_state(),
    }


WRAPPED: Mapping[str, object] = {
    "bare": STATE,
    "ordered": OrderedDict(NETWORK.state_dict()),
    "state_dict": {"state_dict": STATE, "epoch": 3},
    "model": {"model": STATE, "lr_schedulers": []},
    "other-name": {"params": STATE},
    "nested": {"checkpoint": {"model": {"state_dict": STATE}}, "step": 1},
    "twice": {"model": STATE, "state_dict": STATE},
    "module": prefixed("module."),
    "compiled": {"model": prefixed("module._orig_mod.")},
    "lightning": {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.1", "loops": {"fit": {}}},
    "averaged": {**prefixed("module."), "n_averaged": torch.tensor(4)},
    "parameters": {"model": {name: nn.Parameter(value, False) for name, value in STATE.items()}},
}


@pytest.mark.parametrize("name", list(WRAPPED))
def test_a_state_dict_is_found_however_it_is_wrapped(name: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[name], tmp_path / "w.pth")
    found = read_state(tmp_path / "w.pth", "--weights")
    assert list(found) == list(STATE)
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


def test_what_lies_beside_it_is_passed_over_and_makes_no_objects(tmp_path: Path) -> None:
    torch.save(trained(), tmp_path / "w.tar")
    found = read_state(tmp_path / "w.tar", "--weights")
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return shutil.copy, (__file__, "pwned")


class EvilSystem:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object is passed over, a function of the system and files of torch before 1.6 are refused."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "args": Evil()}, tmp_path / "w.pth")
    assert list(read_state(tmp_path / "w.pth", "--weights")) == list(STATE)
    for name, evil, zipped in (("system", EvilSystem, True), ("old", Evil, False), ("older", EvilSystem, False)):
        torch.save({"state_dict": STATE, "args": evil()}, name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError, match=f"--weights {name}: .* which might run code"):
            read_state(Path(name), "--weights")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_becomes_float32(kind: torch.dtype, tmp_path: Path) -> None:
    narrow = {name: value.to(kind) if value.is_floating_point() else value for name, value in STATE.items()}
    torch.save({"state_dict": narrow}, tmp_path / "w.pth")
    found = read_state(tmp_path / "w.pth", "--weights")
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=2**-7, atol=1e-3)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_safetensors_files_are_known_by_their_content(name: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    half = {key: value.half() if value.is_floating_point() else value for key, value in prefixed("module.").items()}
    safetensors.save_file(half, tmp_path / name)
    found = read_state(tmp_path / name, "--weights")
    for key, value in STATE.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-3)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-4])
    with pytest.raises(InputError, match=rf"--weights .*{name}: damaged: .*; take another copy"):
        read_state(tmp_path / name, "--weights")


def test_a_safetensors_file_whose_length_reads_as_text_is_no_web_page(tmp_path: Path) -> None:
    """A header of 0x3c20 bytes begins with a space and `<`."""
    safetensors = pytest.importorskip("safetensors.torch")
    note = 0x3C20 - len('{"__metadata__":{"note":""},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}')
    safetensors.save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors", {"note": "x" * note})
    assert (tmp_path / "w.safetensors").read_bytes().startswith(b" <\0")
    assert read_state(tmp_path / "w.safetensors", "--weights")["w"].tolist() == [1.0]


def test_a_missing_safetensors_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors.torch").save_file(STATE, tmp_path / "w.safetensors")
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(DependencyError, match=r"safetensors is not installed: pip install 'rssn\[train\]'"):
        read_state(tmp_path / "w.safetensors", "--weights")


REFUSED: Mapping[str, tuple[object, str]] = {
    "two networks": ({"generator": STATE, "critic": dict(STATE)}, r"holds 2 state dicts \(generator, critic\); save"),
    "a running mean": (
        {"state_dict": STATE, "state_dict_ema": dict(STATE)},
        r"holds 2 state dicts \(state_dict, state_dict_ema\); save the one you mean alone",
    ),
    "a whole network": (NETWORK, "holds no state dict"),
    "no tensors": ({"epoch": 3}, "holds no state dict"),
    "an empty dict": ({}, "holds no state dict"),
    "a list": ([torch.zeros(3)], "holds no state dict"),
    "no values": ({"weight": torch.empty(3, device="meta")}, "holds no state dict"),
    "more than it holds": ({"weight": torch.zeros(1).expand(10**13)}, "holds no state dict"),
    "not a number": ({"state_dict": {"weight": torch.tensor([1.0, float("nan")])}}, "weight holds values that are not"),
    "a negative variance": ({"model": {"running_var": torch.tensor([-1.0])}}, "running_var holds negative variances"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_gives_no_weights_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=rf"^--weights {tmp_path}/w.pth: {words}") as caught:
        read_state(tmp_path / "w.pth", "--weights")
    assert "\n" not in str(caught.value)


def test_a_dict_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, object] = {str(number): number for number in range(100)}
    content.update({f"loop{number}": content for number in range(100)})
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        read_state(tmp_path / "w.pth", "--weights")


FOREIGN: Mapping[str, tuple[bytes, str]] = {
    "html": (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning", "a web page, not a network: its addr"),
    "bom": (b"\xef\xbb\xbf<html>", "a web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer.*git lfs pull"),
    "gzip": (gzip.compress(b"weights"), "compressed by gzip; unpack it"),
    "empty": (b"", "empty; take another copy"),
    "keras": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
}


@pytest.mark.parametrize("name", list(FOREIGN))
def test_what_a_download_left_in_its_place_is_named(name: str, tmp_path: Path) -> None:
    content, words = FOREIGN[name]
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"^--weights {tmp_path}/w.pth: {words}"):
        read_state(tmp_path / "w.pth", "--weights")


def test_archives_of_something_else_are_named(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "inside.pth")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tmp_path / "inside.pth", "inside.pth")
    with pytest.raises(InputError, match=r"w.zip: a zip archive of inside.pth; unpack it"):
        read_state(tmp_path / "w.zip", "--weights")
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        archive.add(tmp_path / "inside.pth", "inside.pth")
    with pytest.raises(InputError, match=r"w.tar: a tar archive; unpack it"):
        read_state(tmp_path / "w.tar", "--weights")
    torch.jit.save(torch.jit.script(NETWORK), str(tmp_path / "w.ts"))
    with pytest.raises(InputError, match=r"w.ts: TorchScript, which is code; take the network's state dict"):
        read_state(tmp_path / "w.ts", "--weights")


def test_a_file_larger_than_any_networks_weights_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "w.pth").open("wb") as stream:
        stream.truncate((16 << 30) + 1)  # takes no room on the disk
    with pytest.raises(InputError, match=r"w.pth: has 17,179,869,185 bytes; weights of networks have at most"):
        read_state(tmp_path / "w.pth", "--weights")


def test_members_that_are_packed_are_not_unpacked(tmp_path: Path) -> None:
    """`torch.save` never packs: a small file that unpacks to a large one is a trap."""
    torch.save({"weight": torch.zeros(1 << 20)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as plain, zipfile.ZipFile(tmp_path / "p.pth", "w", 8) as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    with pytest.raises(InputError, match=r"p.pth: its members are compressed, as torch.save never does"):
        read_state(tmp_path / "p.pth", "--weights")
