from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from rssn.archives import archive_format, list_members, read_tar_member, read_zip_member
from rssn.errors import Rejected

FILES = {"a.jpg": b"first", "sub/b.png": b"second" * 300, "notes.txt": b"text"}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=["tar", "zip"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write = write_tar if request.param == "tar" else write_zip
    return write(tmp_path / f"photos.{request.param}", FILES)


def read(path: Path, place: int, size: int) -> bytes:
    if archive_format(path) == "tar":
        return read_tar_member(path, place, size)
    return read_zip_member(path, place, 10_000)


def test_members_are_read_where_they_lie(archive: Path) -> None:
    members = list(list_members(archive))
    assert [(m.name, m.size, m.reason) for m in members] == [(n, len(d), "") for n, d in FILES.items()]
    assert [read(archive, m.place, m.size) for m in reversed(members)] == list(reversed(FILES.values()))
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name]


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "..\\out.jpg", "C:\\out.jpg"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    write = write_tar if kind == "tar" else write_zip
    [member] = list_members(write(tmp_path / f"bad.{kind}", {name: b"x"}))
    assert (member.name, member.reason) == (name, "unsafe_path")


def test_links_and_devices_are_no_pictures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for name, kind in (("s.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE), ("d.jpg", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert [(m.name, m.reason) for m in list_members(tmp_path / "links.tar")] == [
        (name, "not_a_file") for name in ("s.jpg", "h.jpg", "d.jpg")
    ]


def test_no_more_is_unpacked_than_the_limit(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"bomb.jpg": bytes(30_000_000)})
    assert path.stat().st_size < 50_000
    with pytest.raises(Rejected) as caught:
        read_zip_member(path, 0, 1000)
    assert caught.value.reason == "too_many_bytes"


def test_a_zip_that_lies_about_its_sizes_is_bounded_too(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "lie.zip", {"lie.jpg": bytes(100_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    [member] = list_members(path)
    assert member.size == 10
    with pytest.raises(Rejected) as caught:
        read_zip_member(path, 0, 1000)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_are_named(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.jpg": bytes(range(256)) * 40}, method)
    data = bytearray(path.read_bytes())
    data[60:90] = b"\xff" * 30
    path.write_bytes(bytes(data))
    with pytest.raises(Rejected) as caught:
        read_zip_member(path, 0, 100_000)
    assert caught.value.reason == "unreadable"


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "secret.zip", {"a.jpg": b"data"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(bytes(data))
    assert [m.reason for m in list_members(path)] == ["encrypted"]


@pytest.mark.parametrize("name", ["cut.tar", "cut.zip", "gz.tar", "empty.zip"])
def test_a_damaged_archive_ends_with_a_member_that_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = (write_tar if name.endswith("tar") else write_zip)(tmp_path / f"whole{path.suffix}", FILES).read_bytes()
    path.write_bytes({"cut.tar": whole[:1500], "cut.zip": whole[:-30], "gz.tar": b"\x1f\x8b" + whole}.get(name, b""))
    members = list(list_members(path))
    assert members[-1].reason == "damaged_archive"
    assert [m.name for m in members[:-1]] == (["a.jpg"] if name == "cut.tar" else [])


def test_a_tar_that_became_shorter_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    member = list(list_members(path))[1]
    path.write_bytes(path.read_bytes()[: member.place + 5])
    with pytest.raises(Rejected, match="the archive ends inside this member"):
        read_tar_member(path, member.place, member.size)
