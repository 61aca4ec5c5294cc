"""The real detector on real photographs, in processes of its own: torchvision may be loaded in this one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bg20k.evidence import object_score
from bg20k.objects import Detection
from bg20k.rules import CurationRules
from bg20k.yolo import YoloDetector
from rssn.errors import InputError
from rssn.image.arrays import Pixels, encode_png
from rssn.image.decoding import decode_pixels

WEIGHTS = "weights/yolov8n_int8_coco.onnx"
SALIENT = ("kitten-on-lawn", "budgie-branch", "oakland-zoo-otters", "canyon-wren")
CLEAN = ("extreme-desert-hike", "nature-mirror", "beacon-street-sunset", "tea-gardens")

DETECT = """
import json, os, socket, sys
from pathlib import Path
def refuse(*_, **__):
    raise AssertionError("the detector used the network")
socket.socket.connect = socket.getaddrinfo = refuse
from bg20k.objects import look
from bg20k.yolo import YoloDetector
from rssn.image.decoding import decode_pixels
weights, *photos = map(Path, sys.argv[1:])
detector = YoloDetector(weights)
images = [decode_pixels(photo.read_bytes()) for photo in photos]
together = detector.detect(images)
def batched():  # as on a GPU; an ONNX file of one image takes no batches
    if weights.suffix != ".pt":
        return []
    detector.batch = len(images)
    from ultralytics.utils import nms
    suppressed = []
    whole = nms.non_max_suppression
    nms.non_max_suppression = lambda values, *a, **k: suppressed.append(len(values)) or whole(values, *a, **k)
    found = [[(d.label, d.confidence, d.box) for d in ds] for ds in detector.detect(images)]
    return [suppressed, found]
import ultralytics
print(json.dumps({
    "name": detector.name,
    "found": {p.stem: [(d.label, d.confidence, d.box) for d in ds] for p, ds in zip(photos, together, strict=True)},
    "looked": {p.stem: [d.to_box() for d in ds] for p, ds in zip(photos, look(detector, images), strict=True)},
    "alone": detector.detect(images[-1:])[0] == together[-1],
    "none": detector.detect([]),
    "batch": detector.batch,
    "batched": batched(),
    "torchvision": "torchvision" in sys.modules,
    "sync": ultralytics.settings["sync"],
    "settings": str(ultralytics.settings.file),
    "written": os.listdir(),
}))
"""

PICKLE = """
import os, sys, warnings
from pathlib import Path
import torch
os.environ["YOLO_CONFIG_DIR"] = os.getcwd()
os.environ["YOLO_OFFLINE"] = "1"
from ultralytics.nn.tasks import DetectionModel
model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
model.names = {0: "person", 1: "car", 2: "bench"}
for branch, bias in zip(model.model[-1].cv3, (-9.0, -9.0, 1.0), strict=True):
    branch[-1].bias.data[:] = bias
torch.save({"model": model}, "good.pt")
model.names = {0: "scratch", 1: "dent", 2: "rust"}
torch.save({"model": model}, "other.pt")
model.names = {0: "person", 1: "car", 2: "bench"}
model.model[0].conv.weight.data[:] = 3e38
torch.save({"model": model}, "huge.pt")
class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)
torch.save({"model": Evil()}, "evil.pt")
class Built:
    def __reduce__(self):
        return DetectionModel, ({"activation": "__import__('os').mkdir('pwned')"},)
torch.save({"model": Built()}, "built.pt")
"""


REFUSED = """
import json, sys
from pathlib import Path
import numpy as np
from bg20k.yolo import YoloDetector
from rssn.errors import RssnError
messages = []
for path in map(Path, sys.argv[1:]):
    try:
        YoloDetector(path).detect([np.full((64, 64, 3), 200, np.uint8)])
    except RssnError as error:
        messages.append(str(error))
print(json.dumps(messages))
"""


def run(code: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def answer(code: str, folder: Path, *arguments: object) -> Any:
    done = run(code, folder, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A handful of the labelled photographs, small and without loss."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for name in (*SALIENT, *CLEAN):
        pixels = cv2.imread(str(shared / f"data/photos/{name}.jpg"), cv2.IMREAD_REDUCED_COLOR_2)
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(encode_png(np.ascontiguousarray(pixels[..., ::-1])))
    return paths


@pytest.fixture(scope="module")
def answered(shared: Path, photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return answer(DETECT, tmp_path_factory.mktemp("cwd"), shared / WEIGHTS, *photos)


@pytest.fixture(scope="module")
def found(answered: Any) -> dict[str, list[Detection]]:
    return {name: [Detection(a, b, tuple(c)) for a, b, c in rows] for name, rows in answered["found"].items()}


@pytest.mark.slow
def test_the_default_rules_tell_salient_from_clean(answered: Any) -> None:
    rules = CurationRules()
    looked = {name: list(map(Detection.of_box, boxes)) for name, boxes in answered["looked"].items()}
    scores = {name: object_score(detections, None, rules)[0] or 0.0 for name, detections in looked.items()}
    assert {name for name, score in scores.items() if score >= rules.salient_limit} == set(SALIENT)
    assert min(scores[name] for name in SALIENT) > 0.9


def _letterboxed(pixels: Pixels) -> tuple[Any, tuple[int, int]]:
    height, width = pixels.shape[:2]
    scale = 640 / max(height, width)
    inner = (round(width * scale), round(height * scale))
    canvas = np.full((640, 640, 3), 114, np.uint8)
    left, top = (640 - inner[0]) // 2, (640 - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(pixels, inner)
    return canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255, inner


def test_the_surest_finding_is_that_of_the_bare_network(
    shared: Path, photos: list[Path], found: dict[str, list[Detection]]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(shared / WEIGHTS), providers=["CPUExecutionProvider"])
    names = {"cat": 15, "bird": 14}
    for photo in photos[:2]:
        tensor, inner = _letterboxed(decode_pixels(photo.read_bytes()))
        output = session.run(None, {"images": tensor})[0][0]
        best = output[4:].max(axis=0).argmax()
        x, y, w, h = output[:4, best]
        left, top = x - w / 2 - (640 - inner[0]) // 2, y - h / 2 - (640 - inner[1]) // 2
        box = np.array([left / inner[0], top / inner[1], (left + w) / inner[0], (top + h) / inner[1]])
        surest = max(found[photo.stem], key=lambda d: d.confidence)
        assert names[surest.label] == output[4:, best].argmax()
        assert surest.confidence == pytest.approx(output[4:, best].max(), abs=0.01)
        np.testing.assert_allclose(surest.box, np.clip(box, 0, 1), atol=0.01)


def test_findings_do_not_depend_on_other_images(answered: Any) -> None:
    assert answered["alone"]
    assert answered["none"] == []


def test_ultralytics_is_kept_quiet_private_and_offline(answered: Any) -> None:
    assert answered["name"].startswith("yolov8n_int8_coco.onnx@")
    assert not answered["torchvision"]
    assert not answered["sync"]
    assert "rssn-ultralytics-" in answered["settings"]
    assert not Path(answered["settings"]).exists()
    assert answered["written"] == []


@pytest.mark.slow
def test_weights_of_torch_load_without_running_code(render, tmp_path: Path) -> None:
    done = run(PICKLE, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    sizes = [(640, 480), (300, 500)]
    paths = [tmp_path / f"{n}.png" for n in range(len(sizes))]
    for n, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        path.write_bytes(encode_png(render(n, *size)))
    result = answer(DETECT, tmp_path, tmp_path / "good.pt", *paths)
    assert result["alone"]
    assert all(result["found"].values())
    assert {row[0] for rows in result["found"].values() for row in rows} <= {"person", "car", "bench"}
    assert not result["torchvision"]
    assert result["batch"] == 1
    suppressed, batched = result["batched"]
    assert suppressed == [1, 1]
    for alone, together in zip(result["found"].values(), batched, strict=True):
        assert [label for label, *_ in together] == [label for label, *_ in alone]
        for (_, before, box), (_, after, other) in zip(alone, together, strict=True):
            assert [after, *other] == pytest.approx([before, *box], abs=1e-3)

    evil, built, other, huge = answer(
        REFUSED, tmp_path, *(tmp_path / f"{name}.pt" for name in ("evil", "built", "other", "huge"))
    )
    assert "evil.pt: refused because it could run code: it uses posix.mkdir" in evil
    assert "built.pt: refused because it could run code: it uses ultralytics.nn.tasks.DetectionModel" in built
    assert "huge.pt: the network's output is not finite" in huge
    assert not (tmp_path / "pwned").exists()
    assert "other.pt: a detect model of 3 classes; give a detection model trained on COCO" in other


@pytest.mark.slow
def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    [message] = answer(REFUSED, tmp_path, "broken.onnx")
    assert message.startswith("broken.onnx: not an ONNX network: ")


@pytest.mark.slow
def test_notes_that_old_releases_evaluate_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    picture = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, 64, 64])
    node = onnx.helper.make_node("Identity", ["images"], ["output0"])
    output = onnx.helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, [1, 3, 64, 64])
    graph = onnx.helper.make_graph([node], "g", [picture], [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    notes = {"task": "detect", "stride": "32", "batch": "1", "imgsz": "[64, 64]"}
    onnx.helper.set_model_props(model, notes | {"names": "{0: __import__('os').mkdir('pwned')}"})
    onnx.save(model, tmp_path / "evil.onnx")
    [message] = answer(REFUSED, tmp_path, "evil.onnx")
    assert message == "evil.onnx: refused because it could run code: its names is not a plain value"
    assert not (tmp_path / "pwned").exists()


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "any.pt").write_bytes(b"x")
    [message] = answer("import sys; sys.modules['ultralytics'] = None" + REFUSED, tmp_path, "any.pt")
    assert "pip install 'rssn[curate]'" in message


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.onnx", "no such file; give the path of a YOLO model"), ("a.txt", "a .pt or .onnx file")],
)
def test_a_wrong_path_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=message) as caught:
        YoloDetector(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_importing_the_room_is_light(tmp_path: Path) -> None:
    code = """
import importlib, json, pkgutil, sys
import bg20k
for module in pkgutil.iter_modules(bg20k.__path__):
    importlib.import_module(f"bg20k.{module.name}")
print(json.dumps(sorted({"torch", "ray", "ultralytics", "onnxruntime", "torchvision"} & set(sys.modules))))
"""
    assert answer(code, tmp_path) == []
