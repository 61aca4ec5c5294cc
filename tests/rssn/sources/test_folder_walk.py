"""What is found below a folder, and that whatever cannot be looked at has a name."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from rssn.errors import InputError, Rejected
from rssn.image.arrays import read_bytes
from rssn.sources.folder_walk import walk
from rssn.sources.tree import list_tree


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def pictures(root: Path, without: Path | None = None) -> list[str]:
    return list(list_tree(root, without).pictures)


def problems(root: Path) -> list[tuple[str, str]]:
    tree = list_tree(root)
    return [(one.source, one.reason) for one in (*tree.problems, *tree.closed)]


def test_pictures_by_suffix_or_content_and_the_rest_is_counted(tmp_path: Path) -> None:
    make(tmp_path, "b.JPG", "a.png", "z/c.webp", "z/d.gif", "notes.txt", "z/n.NEF", "z/x.rar", "readme")
    PillowImage.new("RGB", (8, 8)).save(tmp_path / "z" / "bare", "JPEG")
    (tmp_path / "folder.png").mkdir()
    assert pictures(tmp_path) == ["a.png", "b.JPG", "z/bare", "z/c.webp", "z/d.gif"]
    assert problems(tmp_path) == []
    assert list_tree(tmp_path).unread == Counter({".txt": 1, ".NEF": 1, ".rar": 1, "": 1})
    with pytest.raises(InputError, match="no such folder"):
        walk(tmp_path / "absent")


def test_files_of_a_folder_come_before_those_below_it(tmp_path: Path) -> None:
    make(tmp_path, "b/1.jpg", "b.jpg", "a/2.jpg", "z.jpg", "a/x/3.jpg")
    assert [found.name for found in walk(tmp_path)] == ["b.jpg", "z.jpg", "a/2.jpg", "a/x/3.jpg", "b/1.jpg"]


def test_what_systems_leave_behind_is_no_picture(tmp_path: Path) -> None:
    make(tmp_path, "x.jpg", "._x.jpg", ".DS_Store", "Thumbs.db", "__MACOSX/x.jpg", ".cache/y.jpg", "@eaDir/t.jpg")
    assert pictures(tmp_path) == ["x.jpg"]
    assert list_tree(tmp_path).unread == Counter()


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    make(tmp_path, "away/1.jpg", "away/deep/2.jpg", "photos/own.jpg", "photos/real/3.jpg")
    for name, target in {"a": "away", "b": "away", "c": "away/deep", "d": "photos/real"}.items():
        (tmp_path / "photos" / name).symlink_to(tmp_path / target)
    root = tmp_path / "photos"
    assert pictures(root) == ["a/1.jpg", "a/deep/2.jpg", "own.jpg", "real/3.jpg"]
    assert problems(root) == []


def test_a_link_into_a_hidden_folder_is_followed(tmp_path: Path) -> None:
    make(tmp_path, ".annex/1.jpg")
    (tmp_path / "data").symlink_to(tmp_path / ".annex")
    (tmp_path / "2.jpg").symlink_to(tmp_path / ".annex" / "1.jpg")
    assert pictures(tmp_path) == ["2.jpg", "data/1.jpg"]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_that_leads_back_is_named(tmp_path: Path, target: str) -> None:
    make(tmp_path, "sub/1.jpg", "2.jpg")
    (tmp_path / "sub" / "back").symlink_to(target)
    assert pictures(tmp_path) == ["2.jpg", "sub/1.jpg"]
    assert problems(tmp_path) == [("sub/back", "loop")]


def test_two_folders_that_link_to_each_other(tmp_path: Path) -> None:
    make(tmp_path, "here/1.jpg", "there/2.jpg")
    (tmp_path / "here" / "a").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "b").symlink_to(tmp_path / "here")
    assert pictures(tmp_path / "here") == ["1.jpg", "a/2.jpg"]


def test_links_to_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    assert problems(tmp_path) == [("gone.jpg", "unreadable"), ("self.jpg", "unreadable")]


def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "open/1.jpg", "shut/2.jpg")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may enter every folder
    assert pictures(tmp_path) == ["open/1.jpg"]
    assert problems(tmp_path) == [("shut", "unreadable")]
    assert [one.name for one in walk(tmp_path) if one.is_folder] == ["shut"]
    with pytest.raises(InputError, match="shut: cannot be read: Permission denied"):
        list_tree(tmp_path / "shut")


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    make(tmp_path, "ok.jpg")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg"))).write_bytes(b"x")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/sub\xe9"))
    make(folder, "in.jpg")
    assert pictures(tmp_path) == ["ok.jpg"]
    assert problems(tmp_path) == [("bad\\xff.jpg", "unsafe_path"), ("sub\\xe9/in.jpg", "unsafe_path")]


def test_pipes_devices_and_sockets_are_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket.jpg"))
        assert problems(tmp_path) == [(name, "not_a_file") for name in ("pipe.jpg", "socket.jpg", "zero.jpg")]
        assert list_tree(tmp_path).unread == Counter({"": 2})
        for name in ("pipe.jpg", "socket.jpg", "zero.jpg"):
            with pytest.raises(Rejected) as caught:
                read_bytes(tmp_path / name)
            assert caught.value.reason == "not_a_file"


def test_reads_are_bounded(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(Rejected, match="1099511627776 bytes; the limit is 536870912") as caught:
        read_bytes(tmp_path / "huge.jpg")
    assert caught.value.reason == "too_many_bytes"
    (tmp_path / "ten.jpg").write_bytes(bytes(range(10)))
    assert read_bytes(tmp_path / "ten.jpg", 10) == bytes(range(10))
    (tmp_path / "mem").symlink_to("/proc/self/status")  # says that it has no bytes
    assert 0 < len(read_bytes(tmp_path / "mem", 100)) <= 100


def test_results_are_no_input(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "out/report/sheet.png", "set/manifest.json", "set/marks/a.json", "set/report/sheet.png")
    make(tmp_path, "cache/CACHEDIR.TAG", "cache/ab/layer.png", "other/manifest.json", "other/2.jpg")
    assert pictures(tmp_path, tmp_path / "out") == ["1.jpg", "other/2.jpg"]
    assert pictures(tmp_path, tmp_path / "absent") == ["1.jpg", "other/2.jpg", "out/report/sheet.png"]
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert "link/report/sheet.png" not in pictures(tmp_path, tmp_path / "link")
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(InputError, match="results would be written among the pictures that are read"):
        list_tree(tmp_path, tmp_path)
