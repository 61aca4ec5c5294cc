from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rssn.errors import DependencyError, InputError
from train.history import Board, History


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


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("hello\n")
    with pytest.raises(InputError, match="not the record of a run"):
        History(path, keep=9)


def test_tensorboard_is_named_with_its_extra_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    Board(None, 0).append(1, {"total": 1.0})
    with pytest.raises(DependencyError, match=r"--tensorboard: .*pip install 'rssn\[tensorboard\]'"):
        Board(tmp_path, 0)
