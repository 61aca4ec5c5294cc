"""A content-addressed store on local disk, so that no picture is fetched, decoded, estimated or denoised twice.

An entry is named by everything that decides its values. Workers share it: one that computes an entry holds its lock,
and the others wait for the result instead of computing it too. An entry that is damaged, or bears another one's name,
counts as absent.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Image, Pixels
from rssn.storage.atomic import atomic_path
from rssn.storage.cache_folder import ENTRY, FOLDER, PASSING, own_folder
from rssn.storage.lock import lock_file

_DIGEST_BYTES = 32  # sha256: processors have instructions for it
_HEAD = struct.Struct("<III20x")  # height, width, bytes of a value; then the pixels, aligned, then the method's name
_TYPES = {1: np.uint8, 4: np.float32}
_LAYER, _PIXELS, _BYTES = ".layer", ".pixels", ".bytes"  # suffixes
_LOOKS = 128
_HANDICAP_SECONDS = 3600.0
_STALE_SECONDS = 24 * 3600


class _Entry(NamedTuple):
    values: npt.NDArray[Any]  # H x W x 3, uint8 or float32
    method: str


class CachedLayer(NamedTuple):
    """A picture and how it was made."""

    pixels: Image  # H x W x 3
    method: str


@dataclass(eq=False)
class LayerCache:
    """A folder of layers with a limit on its size.

    When it is full, what was used longest ago goes first; what was decoded or fetched counts as used an hour earlier
    than a layer that was estimated or denoised, which took a hundred times as long. A process looks at the size when it
    first stores something and whenever it has stored 1/128 of the limit, because looking costs as much as decoding.

    Attributes:
        root: The folder, on a local disk; made and marked when first used, see `own_folder`.
        limit: Bytes that the entries may take together; 0 keeps nothing.
    """

    root: Path
    limit: int
    _unseen: float = field(default=math.inf, init=False, repr=False)  # bytes stored since the last look
    _owned: bool = field(default=False, init=False, repr=False)

    def open(self) -> None:
        """Have the folder, if anything is to be kept; see `own_folder` for what it raises."""
        if self.limit > 0 and not self._owned:
            own_folder(self.root)
            self._owned = True

    def get(self, key: tuple[str, ...], compute: Callable[[], CachedLayer]) -> CachedLayer:
        """The layer of this name: from the store, or computed once and stored.

        Args:
            key: Everything that decides the values: content ids, methods, parameters, versions.
            compute: Makes the layer; its errors pass through and nothing is stored.
        """
        return CachedLayer(*self._get(self._path(key), lambda: _Entry(*compute())))

    def get_pixels(self, key: tuple[str, ...], decode: Callable[[], Pixels]) -> Pixels:
        """A decoded photograph, H x W x 3 uint8: from the store, or decoded once and stored; see `get`."""
        return self._get(self._path(key, _PIXELS), lambda: _Entry(decode(), "")).values

    def get_bytes(self, key: tuple[str, ...], fetch: Callable[[], bytes]) -> bytes:
        """What is costly to fetch: from the store, or fetched once and stored; see `get`."""

        def entry() -> _Entry:
            data = fetch()
            padded = np.frombuffer(data + bytes(-len(data) % 3), dtype=np.uint8)
            return _Entry(padded.reshape(1, -1, 3), str(len(data)))

        found = self._get(self._path(key, _BYTES), entry)
        return found.values.tobytes()[: int(found.method)]

    def holds(self, key: tuple[str, ...]) -> bool:
        """Whether there is a layer of this name; whether it is whole is known when it is read."""
        return self.limit > 0 and self._path(key).is_file()

    def _get(self, path: Path, compute: Callable[[], _Entry]) -> _Entry:
        if self.limit <= 0:
            return compute()
        self.open()
        entry = _load(path)
        if entry is not None:
            return entry
        with _locked(path.with_suffix(".lock")):
            entry = _load(path)  # somebody else may have made it while this process waited
            if entry is None:
                entry = compute()
                self._unseen += _store(path, entry)
                if self._unseen >= self.limit / _LOOKS:
                    self._evict()
        return entry

    def _path(self, key: tuple[str, ...], suffix: str = _LAYER) -> Path:
        name = hashlib.sha256("\x1f".join(key).encode()).hexdigest()
        return self.root / name[:2] / f"{name}{suffix}"

    def _evict(self) -> None:
        self._unseen = 0
        entries = []
        for path, status in _files(self.root):
            if ENTRY.fullmatch(path.name):
                used = status.st_mtime - (0 if path.suffix == _LAYER else _HANDICAP_SECONDS)
                entries.append((used, status.st_size, path))
            elif PASSING.fullmatch(path.name) and time.time() - status.st_mtime > _STALE_SECONDS:
                path.unlink(missing_ok=True)
        excess = sum(size for _, size, _ in entries) - self.limit
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


NO_CACHE = LayerCache(Path(), 0)
"""Keeps nothing."""


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file at the depth of entries; what is a link was not made here."""
    with os.scandir(root) as folders:
        ours = [one.path for one in folders if FOLDER.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
    for folder in ours:
        with os.scandir(folder) as found:
            for one in found:
                with suppress(FileNotFoundError):  # another worker evicts too
                    if one.is_file(follow_symlinks=False):
                        yield Path(one.path), one.stat(follow_symlinks=False)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies; on a full disk, go without."""
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock_file(stack.enter_context(path.open("a")).fileno(), wait=True)
        yield


def _store(path: Path, entry: _Entry) -> int:
    """Write an entry; a full disk costs the entry, not the run. Returns bytes written."""
    values = np.ascontiguousarray(entry.values)
    parts = (_HEAD.pack(*values.shape[:2], values.itemsize), values.data.cast("B"), entry.method.encode())
    try:
        with atomic_path(path, durable=False) as temporary, temporary.open("wb") as stream:
            for part in (_digest((path.name.encode(), *parts)), *parts):
                stream.write(part)
    except OSError:
        return 0
    return values.nbytes


def _load(path: Path) -> _Entry | None:
    try:
        data = np.fromfile(path, dtype=np.uint8)  # uninitialised memory of its own: the pixels stay in it, writable
    except OSError:
        return None
    with suppress(OSError):  # evicted a moment ago: it was read whole all the same
        os.utime(path)
    start = _DIGEST_BYTES + _HEAD.size
    parts = (path.name.encode(), data[_DIGEST_BYTES:].data)  # by its name too: it is the key, and the kind of entry
    if data.size < start or _digest(parts) != data[:_DIGEST_BYTES].tobytes():
        return None
    height, width, depth = _HEAD.unpack(data[_DIGEST_BYTES:start].tobytes())
    if depth not in _TYPES:  # an earlier version of this package wrote it
        return None
    end = start + height * width * 3 * depth
    values = data[start:end].view(_TYPES[depth]).reshape(height, width, 3)
    return _Entry(values, data[end:].tobytes().decode())


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
