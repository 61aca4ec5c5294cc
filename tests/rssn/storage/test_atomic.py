from __future__ import annotations

import os
from pathlib import Path

import pytest

from rssn.storage.atomic import atomic_path, sweep, write_bytes


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_bytes(path, b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert (path.read_bytes(), temporary.name) == (b"old", f".a.json.{os.getpid()}.tmp")
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("a.json", b"new")]


def test_a_block_that_fails_or_writes_nothing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        temporary.unlink()
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a", b"old")]


def test_the_only_writer_overwrites_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / ".last.pt.tmp").write_bytes(b"half")
    write_bytes(tmp_path / "last.pt", b"whole", only_writer=True)
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(("durable", "flushed"), [(True, 2), (False, 0)])
def test_what_must_survive_a_crash_is_flushed(
    durable: bool, flushed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    write_bytes(tmp_path / "a", b"", durable=durable)
    assert len(calls) == flushed


def test_only_what_killed_writers_of_these_names_left_is_swept(tmp_path: Path) -> None:
    for name in (".a.json.1.tmp", ".b.json.22.tmp", ".mine.tmp", "a.json"):
        (tmp_path / name).touch()
    sweep(tmp_path, "a.json")
    assert sorted(each.name for each in tmp_path.iterdir()) == [".b.json.22.tmp", ".mine.tmp", "a.json"]
