from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rssn.errors import DependencyError, InputError
from train.loop.history import History, TensorBoardLogger


def test_lines_come_back_and_later_ones_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    history = History(path, keep=0)
    for step in (1, 2, 3):
        history.append(step, {"total": step / 3}, 0.5)
    assert history.read()[2] == {"step": 3, "total": 1.0, "seconds": 0.5}
    again = History(path, keep=2)
    assert [line["total"] for line in again.read()] == [1 / 3, 2 / 3]


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [line["step"] for line in History(path, keep=9).read()] == [1, 2]


@pytest.mark.parametrize(
    "line", [b"hello", b"[1]", b"{}", b'{"step": "1"}', b'{"step": 1, "total": "x"}', b"\xff\xfe", b"[" * 100_000]
)
def test_another_file_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"metrics.jsonl: not the record of a run, or damaged .*; move it"):
        History(path, keep=9)
    assert path.read_bytes() == b'{"step": 1}\n' + line + b"\n"


def test_tensorboard_is_named_with_its_extra_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    TensorBoardLogger(None, 0).append(1, {"total": 1.0}, {})
    with pytest.raises(DependencyError, match=r"--tensorboard: .*pip install 'rssn\[tensorboard\]'"):
        TensorBoardLogger(tmp_path, 0)
