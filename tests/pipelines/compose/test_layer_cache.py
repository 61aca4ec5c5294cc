from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.compose.layer_cache import CachedLayer, LayerCache
from rssn.errors import InputError, Rejected

LAYER = CachedLayer(np.linspace(0, 1, 8 * 6 * 3, dtype=np.float32).reshape(8, 6, 3), "levin-fallback-ml")


def never() -> CachedLayer:
    raise AssertionError("the layer is in the store already")


def entries(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.layer"))


def test_a_layer_is_computed_once_and_comes_back_to_the_bit(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    assert cache.get(("a", "1"), lambda: LAYER).pixels is LAYER.pixels
    again = cache.get(("a", "1"), never)
    assert again.method == LAYER.method
    assert again.pixels.dtype == np.float32
    assert np.array_equal(again.pixels, LAYER.pixels)


def test_another_key_is_another_layer(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    cache.get(("a", "1"), lambda: LAYER)
    other = CachedLayer(LAYER.pixels + 1, "levin")
    assert cache.get(("a", "2"), lambda: other).pixels is other.pixels
    assert cache.get(("a1",), lambda: other).pixels is other.pixels
    assert cache.get(("a", "1"), never).method == LAYER.method


def test_a_decoded_photograph_is_kept_as_bytes(tmp_path: Path) -> None:
    cache, pixels = LayerCache(tmp_path, 1 << 20), np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    assert cache.get_pixels(("a",), lambda: pixels) is pixels
    (path,) = tmp_path.glob("*/*.pixels")
    assert path.stat().st_size < 2 * pixels.nbytes
    again = cache.get_pixels(("a",), lambda: pixels[:1])
    assert again.dtype == np.uint8
    assert np.array_equal(again, pixels)
    assert not cache.holds(("a",))
    assert cache.get(("a",), lambda: LAYER).pixels is LAYER.pixels


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_what_was_fetched_is_kept_to_the_byte(size: int, tmp_path: Path) -> None:
    cache, data = LayerCache(tmp_path, 1 << 20), bytes(range(size))
    for fetch in (lambda: data, lambda: b"never"):
        assert cache.get_bytes(("a",), fetch) == data
    assert LayerCache(tmp_path, 0).get_bytes(("a",), lambda: b"again") == b"again"


def test_a_photograph_counts_as_used_an_hour_earlier(tmp_path: Path) -> None:
    pixels, now = np.zeros((8, 6, 3), dtype=np.uint8), time.time()
    roomy = LayerCache(tmp_path, 1 << 20)
    for name, minutes in (("two hours", 120), ("half an hour", 30)):
        roomy.get((name,), lambda: LAYER)
        newest = max(entries(tmp_path), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (now, now - 60 * minutes))
    roomy.get_pixels(("used now",), lambda: pixels)
    size = entries(tmp_path)[0].stat().st_size
    tight = LayerCache(tmp_path, 2 * size)
    tight.get_pixels(("new",), lambda: pixels)
    tight.get(("half an hour",), never)
    tight.get_pixels(("used now",), lambda: pixels[:1])
    made = []
    tight.get(("two hours",), lambda: (made.append(1), LAYER)[1])
    assert made == [1]
    assert len(list(tmp_path.glob("*/*.pixels"))) == 0, "both layers are younger than an hour"


@pytest.mark.slow
def test_the_limit_is_passed_by_a_small_part_at_most(tmp_path: Path) -> None:
    LayerCache(tmp_path, 1 << 30).get(("first",), lambda: LAYER)
    size = entries(tmp_path)[0].stat().st_size
    cache = LayerCache(tmp_path, 512 * size)
    for number in range(700):
        cache.get((str(number),), lambda: LAYER)
        if number % 50 == 49:
            assert len(entries(tmp_path)) <= 512 + 512 / 128 + 1
    assert len(entries(tmp_path)) >= 512


def test_no_limit_no_store(tmp_path: Path) -> None:
    LayerCache(tmp_path / "none", 0).get(("a",), lambda: LAYER)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    cache.get(("a",), lambda: LAYER)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    path.write_bytes({"truncate": whole[:-5], "flip": whole[:70] + b"\0\1\2" + whole[73:], "empty": b""}[damage])
    made = []
    cache.get(("a",), lambda: (made.append(1), LAYER)[1])
    assert made == [1]
    assert path.read_bytes() == whole


def test_an_entry_of_an_earlier_version_is_made_again(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    cache.get(("a",), lambda: LAYER)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    earlier = whole[32:40] + bytes(24) + whole[64:]
    path.write_bytes(hashlib.sha256(earlier).digest() + earlier)
    assert cache.get(("a",), lambda: LAYER).pixels is LAYER.pixels
    assert path.read_bytes() == whole


def test_an_error_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 20)

    def fail() -> CachedLayer:
        raise Rejected("denoise", "error", "no")

    with pytest.raises(Rejected):
        cache.get(("a",), fail)
    assert entries(tmp_path) == []
    assert cache.get(("a",), lambda: LAYER).pixels is LAYER.pixels


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    LayerCache(tmp_path, 1 << 20).get(("0",), lambda: LAYER)
    size = entries(tmp_path)[0].stat().st_size
    cache = LayerCache(tmp_path, 3 * size)
    for number, name in enumerate("123", 1):
        cache.get((name,), lambda: LAYER)
        for path in entries(tmp_path):
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - number * 10**9))
        cache.get(("1",), lambda: LAYER)
    assert len(entries(tmp_path)) == 3
    cache.get(("1",), never)
    made = []
    cache.get(("0",), lambda: (made.append(1), LAYER)[1])
    assert made == [1]


def test_a_full_disk_costs_the_entry_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert LayerCache(tmp_path, 1 << 20).get(("a",), lambda: LAYER).pixels is LAYER.pixels
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".layer", ".tmp")] == []


def test_locks_of_yesterday_are_removed(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    cache.get(("a",), lambda: LAYER)
    (lock,) = tmp_path.glob("*/*.lock")
    os.utime(lock, (0, 0))
    LayerCache(tmp_path, 1 << 20).get(("b",), lambda: LAYER)
    assert not lock.exists()


def aged(path: Path, content: bytes = b"not ours") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (0, 0))
    return path


def test_the_folder_is_marked_as_the_standard_has_it(tmp_path: Path) -> None:
    LayerCache(tmp_path / "cache", 1 << 20).get(("a",), lambda: LAYER)
    tag = (tmp_path / "cache" / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of rssn")


@pytest.mark.parametrize(
    "name", ["projA/poetry.lock", "letter.txt", "20/05.jpg", "ab/x.lock", "CACHEDIR.TAG", "abc/d", "bucket-source/a"]
)
def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    path = aged(tmp_path / name, b"Signature: 8a477f597d28d172789f06886806bc55\n# of another program\n")
    with pytest.raises(InputError, match=rf"holds other files \({name.partition('/')[0]}.*name a new or empty folder"):
        LayerCache(tmp_path, 1).get(("a",), lambda: LAYER)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("tag", [None, b"", b"Signature: 8a477"])
def test_a_cache_of_an_earlier_version_and_one_whose_maker_died_are_taken(tmp_path: Path, tag: bytes | None) -> None:
    aged(tmp_path / "ab" / f"ab{'0' * 62}.layer")
    (tmp_path / "bucket-sources" / "s3").mkdir(parents=True)
    if tag is not None:
        (tmp_path / "CACHEDIR.TAG").write_bytes(tag)
    LayerCache(tmp_path, 1 << 20).get(("a",), lambda: LAYER)
    assert (tmp_path / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


def test_what_cannot_be_an_entry_is_never_removed(tmp_path: Path) -> None:
    root, name = tmp_path / "cache", "ab" + "0" * 62
    LayerCache(root, 1 << 20).get(("a",), lambda: LAYER)
    foreign = [
        aged(root / place)
        for place in (
            "projA/poetry.lock", "projA/half.tmp", f"projA/{name}.layer", "ab/poetry.lock", "ab/a.layer",
            f"ab/{name}.tmp", f"ab/{name}.old.lock", f"ab/below/{name}.layer", "bucket-sources/s3/a.lock",
        )
    ]  # fmt: skip
    outside = [aged(tmp_path / "elsewhere" / f"{name}{suffix}") for suffix in (".layer", ".lock")]
    (root / "cd").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "ab" / f"{name[::-1]}.layer").symlink_to(outside[0])
    own = [aged(root / "ab" / f"{name}{suffix}") for suffix in (".layer", ".pixels", ".bytes", ".lock", ".77.tmp")]
    LayerCache(root, 1).get(("b",), lambda: LAYER)
    assert [path for path in foreign + outside if not path.exists()] == []
    assert [path for path in own if path.exists()] == []
    assert (root / "ab" / f"{name[::-1]}.layer").is_symlink()


@pytest.mark.parametrize("change", ["swap", "rename", "another kind"])
def test_an_entry_under_another_name_is_made_again(tmp_path: Path, change: str) -> None:
    cache = LayerCache(tmp_path, 1 << 20)
    for name in "ab":
        cache.get((name,), lambda name=name: CachedLayer(np.full((4, 4, 3), ord(name), np.float32), name))
    paths = sorted(entries(tmp_path), key=lambda path: path.read_bytes()[-1])
    one, other = (path.read_bytes() for path in paths)
    if change == "another kind":
        paths[0].with_suffix(".pixels").write_bytes(one)
        assert cache.get_pixels(("a",), lambda: np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
        return
    paths[0].write_bytes(other)
    if change == "swap":
        paths[1].write_bytes(one)
    for name in "ab" if change == "swap" else "a":
        assert cache.get((name,), lambda: LAYER).pixels is LAYER.pixels
        assert cache.get((name,), never).method == LAYER.method


WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from pipelines.compose.layer_cache import CachedLayer, LayerCache

root = Path(sys.argv[1])
def compute():
    (root.parent / f"computed-{sys.argv[2]}").touch()
    time.sleep(float(sys.argv[3]))
    return CachedLayer(np.full((4, 4, 3), 0.5, np.float32), "levin")
print(LayerCache(root, 1 << 20).get(("shared",), compute).pixels.mean())
"""


def start(root: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(root), name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_workers_wait_for_one_another_instead_of_computing_twice(tmp_path: Path) -> None:
    workers = [start(tmp_path / "cache", str(number), 1.5) for number in range(3)]
    assert [worker.communicate()[0].strip() for worker in workers] == ["0.5"] * 3
    assert len(list(tmp_path.glob("computed-*"))) == 1


def test_a_worker_that_dies_releases_its_lock(tmp_path: Path) -> None:
    dying = start(tmp_path / "cache", "dying", 600)
    while not (tmp_path / "computed-dying").exists():
        time.sleep(0.02)
    waiting = start(tmp_path / "cache", "waiting", 0)
    dying.kill()
    assert waiting.communicate(timeout=300)[0].strip() == "0.5"
    assert (tmp_path / "computed-waiting").exists()
