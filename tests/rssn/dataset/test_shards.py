from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.schema import PUBLISHED
from rssn.dataset import shards
from rssn.dataset.manifest import Manifest, parse_manifest, write_manifest
from rssn.dataset.schema import REJECTS, picture
from rssn.dataset.shards import DatasetFolder, parse_mark, shard_name, write_shard
from rssn.dataset.verify import Shards, check_shard, trusted_mark
from rssn.errors import DamagedError, InputError
from rssn.storage.files import content_id, sha256, write_json, write_parquet

_NAME = "train-00000-of-00001"


def _row(number: int, size: int = 100) -> dict[str, Any]:
    row = dict.fromkeys(PUBLISHED.names) | {"background_id": str(number), "phash": 2**64 - 1 - number}
    return row | {"image": picture(bytes([number % 256]) * size, f"{number}.png")}


def _reject(number: int) -> dict[str, Any]:
    known = {"item_id": str(number), "source": "a", "stage": "read", "reason": "empty", "message": ""}
    return known | dict.fromkeys(("thumbnail", "origin", "licence"))


def _written(root: Path) -> DatasetFolder:
    folder = DatasetFolder(root)
    write_shard(folder, _NAME, PUBLISHED, map(_row, range(3)), [_reject(9)])
    return folder


def _files(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_rows_come_back(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    assert pq.read_table(folder.data(_NAME)).to_pylist() == [_row(n) for n in range(3)]
    assert pq.read_table(folder.rejects_path(_NAME)).to_pylist() == [_reject(9)]
    assert pq.read_schema(folder.data(_NAME)).equals(PUBLISHED, check_metadata=False)
    assert _files(tmp_path) == [f"data/{_NAME}.parquet", f"marks/{_NAME}.json", f"rejects/{_NAME}.parquet"]


def test_the_mark_says_what_the_files_are(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    mark = trusted_mark(folder, _NAME)
    assert mark is not None
    assert (mark.name, mark.rows, mark.rejected) == (_NAME, 3, 1)
    assert mark.bytes == folder.data(_NAME).stat().st_size
    assert mark.sha256 == sha256(folder.data(_NAME))
    assert mark.rejects_sha256 == sha256(folder.rejects_path(_NAME))
    assert folder.marks() == [mark]


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("part", ["data", "rejects"])
@pytest.mark.parametrize("harm", ["truncate", "alter", "replace", "remove", "empty"])
def test_a_file_that_is_not_the_marked_one_is_not_trusted(tmp_path: Path, part: str, harm: str) -> None:
    folder = _written(tmp_path)
    path = folder.data(_NAME) if part == "data" else folder.rejects_path(_NAME)
    mark = folder.read_mark(_NAME)
    assert mark is not None
    assert check_shard(folder, mark) is None
    if harm == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "alter":
        _flip(path, path.stat().st_size // 2)
    elif harm == "replace":
        write_parquet(path, PUBLISHED, map(_row, range(5, 8)))
    elif harm == "remove":
        path.unlink()
    else:
        path.write_bytes(b"")
    assert trusted_mark(folder, _NAME) is None
    assert path.name in str(check_shard(folder, mark))


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_a_half_written_mark_is_not_trusted(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = _written(tmp_path_factory.mktemp("shards"))
    whole = folder.mark(_NAME).read_bytes().rstrip()
    folder.mark(_NAME).write_bytes(whole[: cut % len(whole)])
    assert trusted_mark(folder, _NAME) is None
    assert folder.marks() == []


@pytest.mark.parametrize("text", ["[]", "null", "3", '{"name": "a"}', '{"unknown": 1}', "\udcff"])
def test_what_is_no_mark(text: str) -> None:
    assert parse_mark(text.encode("utf-8", "surrogateescape"), "a", "") is None


@pytest.mark.parametrize(
    "harm",
    [
        {"rows": "3"},
        {"rows": -1},
        {"rows": 10**30},
        {"bytes": True},
        {"rejected": 1.5},
        {"sha256": 7},
        {"statistics": 5},
        {"statistics": {"ineligible_pairs": "x"}},
        {"unusable": {"a": "changed"}},
        {"unusable": {"a": ["changed", 7]}},
        {"unusable": {"a": []}},
    ],
)
def test_a_mark_with_a_part_of_another_kind_is_none(harm: dict[str, object], tmp_path: Path) -> None:
    folder = _written(tmp_path)
    whole = json.loads(folder.mark(_NAME).read_bytes())
    assert parse_mark(json.dumps(whole).encode(), _NAME, "")
    assert parse_mark(json.dumps(whole | harm).encode(), _NAME, "") is None


def test_json_that_is_nested_too_deeply_is_damaged(tmp_path: Path) -> None:
    text = b"[" * 100_000
    assert parse_mark(text, "a", "") is None
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_manifest(text)


def test_a_finished_data_set_that_lost_a_mark_is_not_read(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    rows = folder.marks()[0].rows
    write_json(folder.manifest_path, {"plan": {"kind": "composites"}, "totals": {"rows": rows}})
    assert folder.all_marks() == folder.marks()
    folder.mark(_NAME).write_bytes(b"{")
    with pytest.raises(DamagedError, match=f"manifest.json: its marks vouch for 0 rows, .* counts {rows}; run"):
        folder.all_marks()


def test_a_mark_under_another_name_is_no_mark(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    other = "train-00001-of-00002"
    folder.mark(other).write_bytes(folder.mark(_NAME).read_bytes())
    folder.data(other).write_bytes(folder.data(_NAME).read_bytes())
    assert trusted_mark(folder, other) is None
    assert [mark.name for mark in folder.marks()] == [_NAME]


def test_a_writer_that_fails_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield _row(0, 9 << 20)
        yield _row(1)
        raise RuntimeError("the disk of the source is gone")

    folder = DatasetFolder(tmp_path)
    with pytest.raises(RuntimeError, match="gone"):
        write_shard(folder, _NAME, PUBLISHED, failing(), [])
    assert _files(tmp_path) == []
    before = write_shard(folder, _NAME, PUBLISHED, [_row(4)], [])
    with pytest.raises(RuntimeError, match="gone"):
        write_shard(folder, _NAME, PUBLISHED, failing(), [])
    assert trusted_mark(folder, _NAME) == before
    assert len(_files(tmp_path)) == 2


def test_new_data_under_an_old_mark_is_not_trusted(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    write_parquet(folder.data(_NAME), PUBLISHED, map(_row, range(4)))
    assert trusted_mark(folder, _NAME) is None


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    marks = [
        write_shard(DatasetFolder(tmp_path / name), _NAME, PUBLISHED, map(_row, range(20)), [_reject(1)])
        for name in ("one", "two")
    ]
    assert marks[0] == marks[1]
    assert (tmp_path / "one/marks" / f"{_NAME}.json").read_bytes() == (
        tmp_path / "two/marks" / f"{_NAME}.json"
    ).read_bytes()


def test_row_groups_close_at_8_mebibytes(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, PUBLISHED, (_row(n, 3 << 20) for n in range(7)))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [3, 3, 1]
    assert metadata.row_group(0).total_byte_size < 10 << 20
    columns = {metadata.row_group(0).column(c).compression for c in range(metadata.num_columns)}
    assert columns == {"UNCOMPRESSED"}


def test_rows_without_pictures_close_groups_by_count(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    assert write_parquet(path, REJECTS, (_reject(0) for _ in range(8193))).rows == 8193
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [8192, 1]


def test_a_shard_without_rows_is_done_and_leaves_no_data(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    mark = write_shard(folder, _NAME, PUBLISHED, [], [])
    assert (mark.rows, mark.bytes, mark.sha256, mark.rejected, mark.rejects_sha256) == (0, 0, "", 0, "")
    assert _files(tmp_path) == [f"marks/{_NAME}.json"]
    assert trusted_mark(folder, _NAME) == mark


def test_rejects_that_come_up_while_rows_are_consumed_are_written(tmp_path: Path) -> None:
    rejects: list[dict[str, Any]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(4):
            if number % 2:
                rejects.append(_reject(number))
            else:
                yield _row(number)

    mark = write_shard(DatasetFolder(tmp_path), _NAME, PUBLISHED, rows(), rejects)
    assert (mark.rows, mark.rejected) == (2, 2)


@pytest.mark.parametrize("name", ["../a", "a/b", "/etc/a", "", ".a", "-a", "A", "a.b", "a\n", "a\0", "a b", "ä"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    folder = DatasetFolder(tmp_path)
    for place in (folder.data, folder.mark, folder.rejects_path):
        with pytest.raises(InputError, match="is not a valid shard name"):
            place(name)


def test_where_things_lie(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    assert shard_name("composites", 42, 128) == "composites-00042-of-00128"
    assert folder.data("a-1") == tmp_path / "data" / "a-1.parquet"
    assert folder.mark("a-1") == tmp_path / "marks" / "a-1.json"
    assert folder.rejects_path("a-1") == tmp_path / "rejects" / "a-1.parquet"
    assert (folder.manifest_path, folder.report) == (tmp_path / "manifest.json", tmp_path / "report")


def test_progress_is_told_while_a_shard_is_written(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    rejects: list[dict[str, Any]] = []
    told = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(3):
            told.append(folder.in_progress())
            yield _row(number)
            rejects.append(_reject(number))

    write_shard(folder, _NAME, PUBLISHED, rows(), rejects)
    assert told == [{}, {_NAME: 1}, {_NAME: 3}]
    assert folder.in_progress() == {}


def test_sweep_removes_half_written_files_only(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    write_json(folder.manifest_path, {"a": 1})
    whole = _files(tmp_path)
    half = (f"data/.{_NAME}.parquet.12.tmp", f"progress/{_NAME}.item", f"marks/.{_NAME}.json.9.tmp", "..run.json.4.tmp")
    for name in (*half, f"progress/{_NAME}", ".manifest.json.3.tmp", "plan/.photos.parquet.1.tmp"):
        _put(tmp_path / name)
    foreign = ("data/.mine.parquet.12.tmp", "notes/.x.json.9.tmp", ".mine.tmp", "progress/mine", "marks/.a.tmp")
    for name in foreign:
        _put(tmp_path / name)
    folder.sweep()
    assert _files(tmp_path) == sorted([*whole, *foreign])


def _put(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")


def test_a_mark_of_another_plan_does_not_count(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path, "one")
    mark = write_shard(folder, _NAME, PUBLISHED, [_row(1)], [])
    assert mark.plan == "one"
    assert trusted_mark(folder, _NAME) == mark
    for other in (DatasetFolder(tmp_path, "other"), DatasetFolder(tmp_path)):
        assert other.read_mark(_NAME) is None
        assert trusted_mark(other, _NAME) is None
        assert other.marks() == []
    write_manifest(tmp_path, Manifest({"kind": "composites"}, "one"))
    assert DatasetFolder(tmp_path).marks() == [mark]
    write_manifest(tmp_path, Manifest({"kind": "composites"}, "other"))
    assert DatasetFolder(tmp_path).marks() == []


def test_removing_takes_what_can_have_been_written_here_and_nothing_else(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    own = [
        f"rejects/{_NAME}-failed.parquet", "rejects/plan.parquet", "verdicts.parquet",
        "plan/foregrounds.parquet", "plan/foregrounds-00001.parquet", "plan/backgrounds.parquet", "plan/pruned.parquet",
        "report/index.html", "report/contact-sheet-kept-01.png", "report/step-strip-02.png", "report/replay-a0-1.png",
        f"progress/{_NAME}.item", ".run.json", "README.md", f"data/.{_NAME}.parquet.12.tmp",
    ]  # fmt: skip
    foreign = [
        "review.sqlite", "manifest.json", "data/mine.parquet", "report/notes.html", "report/figure-01.png",
        "marks/mine.json", "plan/b.txt", "progress/todo", "thesis.tex", "more/data/letter",
    ]  # fmt: skip
    for name in own + foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    folder.remove()
    assert _files(tmp_path) == sorted(foreign)
    assert not (tmp_path / "rejects").exists()


@pytest.mark.parametrize("part", ["data", "marks"])
def test_nothing_behind_a_link_is_removed(tmp_path: Path, part: str) -> None:
    folder = _written(tmp_path / "out")
    (tmp_path / "out" / part).rename(tmp_path / "elsewhere")
    (tmp_path / "out" / part).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    whole = _files(tmp_path)
    with pytest.raises(InputError, match=rf"out/{part}: a link to a folder, and nothing behind links is removed"):
        folder.remove()
    assert _files(tmp_path) == whole


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _written(tmp_path)
    folder.data(_NAME).unlink()
    folder.data(_NAME).mkdir()
    with pytest.raises(InputError, match=rf"data/{_NAME}.parquet: cannot be removed: Is a directory; remove it"):
        folder.remove()
    assert folder.marks() == [], "what vouches goes first"

    def immutable(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    folder = _written(tmp_path / "other")
    monkeypatch.setattr(Path, "unlink", immutable)
    with pytest.raises(InputError, match=rf"marks/{_NAME}.json: cannot be removed: Operation not permitted"):
        folder.remove()


@pytest.mark.parametrize(("number", "fatal"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_flush_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, fatal: bool
) -> None:
    real = os.fsync

    def flush(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    with pytest.raises(OSError, match="Input/output error") if fatal else nullcontext():
        write_json(tmp_path / "a.json", {"a": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_json_is_old_or_new_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": "ä"})
    assert path.read_text(encoding="utf-8") == '{\n  "a": "\\u00e4",\n  "b": 1\n}\n'

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_json(path, {"b": 2})
    assert json.loads(path.read_text(encoding="utf-8"))["b"] == 1
    assert _files(tmp_path) == ["a.json"]


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=4), st.lists(st.binary(max_size=6), min_size=1, max_size=4))
def test_content_ids_are_equal_for_equal_parts_alone(one: list[bytes], two: list[bytes]) -> None:
    assert (content_id(*one) == content_id(*two)) == (one == two)


def test_content_id_depends_on_where_the_parts_end() -> None:
    assert content_id(b"a", b"b") != content_id(b"ab")
    assert content_id(b"a", b"b") != content_id(b"b", b"a")
    assert content_id(b"a", b"") != content_id(b"a")
    assert content_id(b"abc") == "4f8b42c22dd3729b519b"


def test_one_look_at_a_data_set_lists_each_of_its_folders_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DatasetFolder(tmp_path, "")
    write_shard(folder, _NAME, PUBLISHED, [_row(1)], [_reject(1)])
    write_parquet(folder.failure("train-00001-of-00002"), REJECTS, [_reject(2)])
    listed: list[str] = []
    real = shards.list_files
    monkeypatch.setattr(shards, "list_files", lambda root: (listed.append(root.name), real(root))[1])
    found = Shards.of(folder)
    assert sorted(listed) == ["data", "marks", "rejects"]
    assert (list(found.marks), folder.failures(found.found)) == ([_NAME], ["train-00001-of-00002"])
    assert found.trusted(_NAME) == folder.marks()[0]
