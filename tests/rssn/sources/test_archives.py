from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.picture_files import archive_format
from rssn.sources import archives
from rssn.sources.archives import Member, read_tar_member, read_zip_member

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


def write_tgz(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(gzip.compress(write_tar(path, files).read_bytes()))
    return path


WRITERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "tar": write_tar, "tgz": write_tgz, "tar.gz": write_tgz, "zip": write_zip,
}  # fmt: skip


@pytest.fixture(params=WRITERS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write = WRITERS[request.param]
    return write(tmp_path / f"photos.{request.param}", FILES)


def list_members(path: Path) -> Iterator[Member]:
    packed = archive_format(path)
    assert packed
    return archives.list_members(path, packed)


def read(path: Path, place: int, size: int) -> bytes:
    if archive_format(path) != "zip":
        return read_tar_member(path, place, size, compressed=archive_format(path) == "tgz")
    return read_zip_member(path, place, 10_000)


def test_members_are_read_where_they_lie(archive: Path) -> None:
    members = list(list_members(archive))
    assert [(m.name, m.size, m.reason) for m in members] == [(n, len(d), "") for n, d in FILES.items()]
    assert [read(archive, m.place, m.size) for m in reversed(members)] == list(reversed(FILES.values()))
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name]


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "..\\out.jpg", "C:\\out.jpg"])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    [member] = list_members(WRITERS[kind](tmp_path / f"bad.{kind}", {name: b"x"}))
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


@pytest.mark.parametrize("name", ["cut.tar", "cut.zip", "gz.tar", "empty.zip", "cut.tgz", "plain.tgz", "empty.tgz"])
def test_a_damaged_archive_ends_with_a_member_that_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = WRITERS[path.suffix[1:]](tmp_path / f"whole{path.suffix}", FILES).read_bytes()
    plain = write_tar(tmp_path / "plain", FILES).read_bytes()
    broken = {"cut.tar": whole[:1500], "cut.zip": whole[:-30], "gz.tar": b"\x1f\x8b" + whole, "cut.tgz": whole[:-20]}
    path.write_bytes(({"plain.tgz": plain} | broken).get(name, b""))
    members = list(list_members(path))
    assert members[-1].reason == "damaged_archive"
    assert [m.name for m in members[:-1]] == {"cut.tar": ["a.jpg"], "cut.tgz": list(FILES)}.get(name, [])


@pytest.mark.parametrize("kind", WRITERS)
def test_members_are_told_by_suffix_or_content(tmp_path: Path, kind: str) -> None:
    stream = io.BytesIO()
    PillowImage.new("RGB", (8, 8)).save(stream, "PNG")
    files = {"a.JPG": b"", "bare": stream.getvalue(), "readme": b"text", "c.NEF": b"II*\0", "sub/._a.jpg": b"x"}
    path = WRITERS[kind](tmp_path / f"a.{kind}", files | {"__MACOSX/a.jpg": b"x", "Thumbs.db": b"x"})
    assert {m.name: m.kind for m in list_members(path)} == {
        "a.JPG": "picture", "bare": "picture", "readme": "other", "c.NEF": "other", "sub/._a.jpg": "hidden",
        "__MACOSX/a.jpg": "hidden", "Thumbs.db": "hidden",
    }  # fmt: skip


def test_a_compressed_tar_is_unpacked_once_for_members_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number}.jpg": bytes([number]) * 3000 for number in range(40)}
    path = write_tgz(tmp_path / "a.tgz", files)
    members = list(list_members(path))
    rewound: list[int] = []
    monkeypatch.setattr(gzip.GzipFile, "rewind", lambda _: rewound.append(1))
    for member in members[3:]:
        data = read_tar_member(path, member.place, member.size, compressed=True)
        assert data == files[member.name]
    assert rewound == []


def test_a_compressed_tar_may_not_swell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_SMALL", 1 << 20)
    path = write_tgz(tmp_path / "bomb.tgz", {"a.jpg": b"a", "zeros.jpg": bytes(30 << 20), "c.jpg": b"c"})
    members = list(list_members(path))
    assert [(m.name, m.reason) for m in members] == [("a.jpg", ""), ("zeros.jpg", ""), ("", "damaged_archive")]
    assert "more than 100 times its size" in members[-1].message


def test_a_header_may_not_swell_either(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.jpg")
        info.pax_headers = {"comment": "x" * (5 << 20)}
        archive.addfile(info)
    (tmp_path / "bomb.tgz").write_bytes(gzip.compress((tmp_path / "bomb.tar").read_bytes()))
    for name in ("bomb.tar", "bomb.tgz"):
        [member] = list_members(tmp_path / name)
        assert (member.reason, "a header of 524" in member.message) == ("damaged_archive", True)


def test_a_tar_that_became_shorter_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    member = list(list_members(path))[1]
    path.write_bytes(path.read_bytes()[: member.place + 5])
    with pytest.raises(Rejected, match="the archive ends inside this member"):
        read_tar_member(path, member.place, member.size)
