"""Real files of ultralytics pass; what would run code is refused, and provably did not run."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bg20k.yolo_weights import copy_weights
from rssn.errors import InputError
from rssn.storage.location import BucketPath
from tests.bucket import Store

pytest.importorskip("ultralytics")

REAL = """
import os, sys
from pathlib import Path
os.environ |= {"YOLO_CONFIG_DIR": os.getcwd(), "YOLO_OFFLINE": "1"}
import numpy, torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import v8DetectionLoss
from bg20k.yolo_weights import copy_weights
for name in sys.argv[1:]:
    model = DetectionModel(f"{name}.yaml", verbose=False)
    model.args = get_cfg()
    model.criterion = v8DetectionLoss(model)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    metrics = {"fitness": numpy.float64(0.5), "save_dir": Path("runs")}
    content = {"model": None, "ema": model.half(), "optimizer": optimiser.state_dict(), "train_metrics": metrics}
    torch.save(content | {"train_args": vars(get_cfg()), "epoch": -1}, f"{name}.pt")
    copy_weights(Path(f"{name}.pt"), Path("copy.pt"))
    loaded = torch.load("copy.pt", weights_only=False)["ema"].state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items()), name
    print(name, len(loaded))
"""


@pytest.mark.slow
def test_files_of_the_families_pass_and_hold_their_weights(tmp_path: Path) -> None:
    names = ["yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo26n"]
    command = [sys.executable, "-c", REAL, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("yolo")]
    assert [line[0] for line in lines] == names
    assert all(int(line[1]) > 100 for line in lines)


def called(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle of protocol 2 that calls something with texts."""
    texts = b"".join(b"X" + len(text).to_bytes(4, "little") + text for text in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + texts + b"tR."


REFUSED = """
import os, sys
from pathlib import Path
os.environ |= {"YOLO_CONFIG_DIR": os.getcwd(), "YOLO_OFFLINE": "1"}
from bg20k.yolo_weights import copy_weights
from rssn.errors import InputError
for name in sys.argv[1:]:
    try:
        copy_weights(Path(f"{name}.pt"), Path("copy.pt"))
    except InputError as error:
        print(error)
"""

MALICIOUS = {
    "posix.system": called("posix", "system", b"touch canary"),
    "builtins.eval": called("builtins", "eval", b"open('canary', 'w')"),
    "__builtin__.exec": called("__builtin__", "exec", b"open('canary', 'w')"),
    "__builtin__.getattr": called("__builtin__", "getattr", b"x", b"upper"),
    "torch.load": called("torch", "load", b"other.pt"),
    "torch.hub.load": called("torch.hub", "load", b"a", b"b"),
    "torch.jit.load": called("torch.jit", "load", b"other.pt"),
    "torch.serialization.load": called("torch.serialization", "load", b"other.pt"),
    "torch._utils._rebuild_device_tensor_from_numpy": called("torch._utils", "_rebuild_device_tensor_from_numpy"),
    "torch._tensor._rebuild_from_type_v2": called("torch._tensor", "_rebuild_from_type_v2", b"x"),
    "ultralytics.nn.tasks.DetectionModel": called("ultralytics.nn.tasks", "DetectionModel", b"a.yaml"),
    "ultralytics.nn.tasks.parse_model": called("ultralytics.nn.tasks", "parse_model", b"a"),
    "ultralytics.nn.tasks.torch_safe_load": called("ultralytics.nn.tasks", "torch_safe_load", b"a.pt"),
    "torch.nn.modules.conv.Conv2d": called("torch.nn.modules.conv", "Conv2d"),
    # bare objects of what is no network
    "ultralytics.nn.tasks.Path": b"\x80\x02cultralytics.nn.tasks\nPath\n)\x81.",
    "torch.nn.modules.module.register_module_forward_hook": (
        b"\x80\x02ctorch.nn.modules.module\nregister_module_forward_hook\n)\x81."
    ),
    "torch.nn.modules.container.operator": b"\x80\x02ctorch.nn.modules.container\noperator\n)\x81.",
    "subprocess.Popen": b"\x80\x02csubprocess\nPopen\n)\x81.",
    "torch.nn.modules.nothing.Here": b"\x80\x02ctorch.nn.modules.nothing\nHere\n)\x81.",
    "torch.jit._script.ScriptModule": b"\x80\x02ctorch.jit._script\nScriptModule\n)\x81.",
    # handed on as a value, for others to call: a hook, the type of a storage
    "ultralytics.nn.tasks.yaml_model_load": b"\x80\x02]cultralytics.nn.tasks\nyaml_model_load\na.",
    "posix.remove": b"\x80\x02(X\x07\x00\x00\x00storagecposix\nremove\ntQ.",
    "torch.nn.modules.conv.Conv1d": b"\x80\x02}X\x01\x00\x00\x00actorch.nn.modules.conv\nConv1d\ns.",
}


@pytest.mark.slow
def test_what_would_run_code_is_refused_and_did_not_run(tmp_path: Path) -> None:
    for name, pickled in MALICIOUS.items():
        with zipfile.ZipFile(tmp_path / f"{name}.pt", "w") as archive:
            archive.writestr("evil/data.pkl", pickled)
    command = [sys.executable, "-c", REFUSED, *MALICIOUS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [f"{name}.pt: refused because it could run code: it uses {name}" for name in MALICIOUS]
    assert [line.partition(";")[0] for line in done.stdout.splitlines() if ".pt: " in line] == expected
    assert not (tmp_path / "canary").exists()


def test_these_payloads_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("posix.system", "builtins.eval", "__builtin__.exec"):
        pickle.loads(MALICIOUS[name])  # noqa: S301
        Path("canary").unlink()


@pytest.mark.parametrize("name", sorted(MALICIOUS))
def test_what_runs_code_is_refused_from_a_bucket_too(name: str, s3: Store, bucket: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("evil/data.pkl", MALICIOUS[name])
    s3.put(f"{bucket}/evil.pt", (tmp_path / "evil.pt").read_bytes())
    with pytest.raises(InputError, match=f"^{bucket}/evil.pt: "):
        copy_weights(BucketPath(f"{bucket}/evil.pt"), tmp_path / "copy.pt")
    assert not Path("canary").exists()
