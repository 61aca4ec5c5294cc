"""Places in buckets behave as paths do, as far as they go."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path, PurePosixPath

import pytest

from rssn.errors import InputError
from rssn.storage.atomic import atomic_path, write_bytes
from rssn.storage.location import BucketPath, Location, parse_location
from rssn.storage.remote import content, contents, list_files, opened, size_of, stamp
from tests.bucket import Store

PLACE = BucketPath("s3://bucket/a/b.tar.gz")


def test_names_are_those_of_the_object() -> None:
    pure = PurePosixPath("/bucket/a/b.tar.gz")
    assert (PLACE.name, PLACE.stem, PLACE.suffix) == (pure.name, pure.stem, pure.suffix)
    assert PLACE.parent == BucketPath("s3://bucket/a")
    assert PLACE.parent.parent == PLACE.parent.parent.parent == BucketPath("s3://bucket")
    assert str(PLACE.with_suffix(".zip")) == "s3://bucket/a/b.tar.zip"
    assert PLACE.with_name("c") == PLACE.parent / "c" == BucketPath("s3://bucket/a/c")
    assert PLACE.relative_to(BucketPath("s3://bucket")).as_posix() == "a/b.tar.gz"
    assert PLACE.resolve() is PLACE


def test_below_is_by_whole_names_and_in_one_store() -> None:
    assert PLACE.is_relative_to(PLACE)
    assert not PLACE.is_relative_to(BucketPath("s3://buck"))
    assert not PLACE.is_relative_to(BucketPath("gs://bucket/a"))
    assert not PLACE.is_relative_to(Path("/"))
    with pytest.raises(ValueError, match="does not lie in"):
        PLACE.relative_to(BucketPath("s3://bucket/b"))


@pytest.mark.parametrize("name", ["..", "../c", "c/../d", "", "/c", "a//b", "a\0b"])
def test_no_name_leaves_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an object"):
        PLACE / name


def test_it_is_no_path_of_this_machine() -> None:
    with pytest.raises(TypeError):
        open(PLACE)  # type: ignore[call-overload]  # noqa: SIM115, PTH123
    assert pickle.loads(pickle.dumps(PLACE)) == PLACE  # noqa: S301
    assert sorted([PLACE, PLACE.parent]) == [PLACE.parent, PLACE]


def test_a_text_is_a_path_or_a_url() -> None:
    assert parse_location("a/b") == Path("a/b")
    assert parse_location("gs://bucket/a/") == BucketPath("gs://bucket/a")
    with pytest.raises(InputError, match="unknown storage"):
        parse_location("ftp://bucket/a")


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """A folder that does not exist yet, here or in a bucket."""
    if request.param == "folder":
        return tmp_path / "set"
    bucket: str = request.getfixturevalue("bucket")
    return BucketPath(f"{bucket}/set")


def test_written_read_listed_and_removed_alike(place: Location) -> None:
    assert list_files(place) == {}
    assert not place.exists()
    write_bytes(place / "one.json", b"1")
    with atomic_path(place / "marks/two.json") as temporary:
        temporary.write_bytes(b"22")
    with atomic_path(place / "marks/none.json"):
        pass
    assert {name: facts.size for name, facts in list_files(place).items()} == {"one.json": 1, "marks/two.json": 2}
    assert all(facts.written_ns > 0 for facts in list_files(place).values())
    assert [path.name for path in place.glob("*/*.json")] == ["two.json"]
    assert sorted(path.name for path in place.iterdir()) == ["marks", "one.json"]
    assert (place / "marks").is_dir()
    assert not (place / "marks").is_file()
    assert (place / "one.json").is_file()
    assert not (place / "one.json").is_dir()
    (place / "one.json").unlink()
    (place / "one.json").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (place / "one.json").unlink()
    assert list(list_files(place)) == ["marks/two.json"]


def test_a_block_that_fails_leaves_what_was_there(place: Location) -> None:
    write_bytes(place / "a", b"old")
    with pytest.raises(KeyError), atomic_path(place / "a") as temporary:  # noqa: PT012
        temporary.write_bytes(b"new")
        raise KeyError
    assert content(place / "a") == b"old"


def test_content_is_bounded_and_sized(place: Location) -> None:
    write_bytes(place / "a", b"12345")
    assert content(place / "a", 5) == b"12345"
    with pytest.raises(OSError, match="limit is 4") as caught:
        content(place / "a", 4)
    assert caught.value.errno == errno.EFBIG
    assert size_of(place / "a") == 5
    assert size_of(place / "b") is None
    assert list(contents([place / "a", place / "b", place / "a"])) == [b"12345", None, b"12345"]
    with pytest.raises(FileNotFoundError):
        content(place / "b")
    with opened(place / "a") as stream:
        stream.seek(2)
        assert stream.read(2) == b"34"


def test_a_stamp_changes_with_the_content(place: Location) -> None:
    write_bytes(place / "a", b"12345")
    before = stamp(place / "a")
    assert stamp(place / "a") == before
    write_bytes(place / "a", b"54321")
    if isinstance(place, Path):
        os.utime(place / "a", ns=(1, 1))
    assert stamp(place / "a") != before


def test_a_bounded_read_fetches_no_more(s3: Store, bucket: str) -> None:
    place = BucketPath(f"{bucket}/large")
    write_bytes(place, bytes(1 << 20))
    s3.sent.clear()
    with pytest.raises(OSError, match="limit is 10"):
        content(place, 10)
    assert s3.sent["GET large"] == 11


def test_an_empty_file_has_no_bytes(place: Location) -> None:
    write_bytes(place / "a", b"")
    assert [content(place / "a"), content(place / "a", 4)] == [b"", b""]
