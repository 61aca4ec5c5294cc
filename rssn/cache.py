"""A content-addressed store of layers on local disk, so that no picture is estimated or denoised twice.

An entry is named by everything that decides its values. Workers share it: one that computes an entry holds its lock,
and the others wait for the result instead of computing it too. A damaged entry counts as absent. When the store is
full, the entries that were used longest ago go first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rssn.images import Image

_DIGEST_BYTES = 32  # sha256: processors have instructions for it
_HEAD = struct.Struct("<II24x")  # height, width; then the pixels, aligned, then the method's name
_STALE_SECONDS = 24 * 3600


class CachedLayer(NamedTuple):
    """A picture and how it was made."""

    pixels: Image  # H x W x 3
    method: str


@dataclass(frozen=True)
class LayerCache:
    """A folder of layers with a limit on its size.

    Attributes:
        root: The folder, on a local disk; made when first used.
        limit: Bytes that the entries may take together; 0 keeps nothing.
    """

    root: Path
    limit: int

    def get(self, key: tuple[str, ...], compute: Callable[[], CachedLayer]) -> CachedLayer:
        """The layer of this name: from the store, or computed once and stored.

        Args:
            key: Everything that decides the values: content ids, methods, parameters, versions.
            compute: Makes the layer; its errors pass through and nothing is stored.
        """
        if self.limit <= 0:
            return compute()
        path = self._path(key)
        layer = _load(path)
        if layer is not None:
            return layer
        with _locked(path.with_suffix(".lock")):
            layer = _load(path)  # somebody else may have made it while this process waited
            if layer is None:
                layer = compute()
                _store(path, layer)
                self._evict()
        return layer

    def holds(self, key: tuple[str, ...]) -> bool:
        """Whether there is an entry of this name; whether it is whole is known when it is read."""
        return self.limit > 0 and self._path(key).is_file()

    def _path(self, key: tuple[str, ...]) -> Path:
        name = hashlib.sha256("\x1f".join(key).encode()).hexdigest()
        return self.root / name[:2] / f"{name}.layer"

    def _evict(self) -> None:
        entries = []
        for path in self.root.glob("*/*.layer"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another worker evicts too
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        self._remove_stale()
        excess = sum(size for _, size, _ in entries) - self.limit
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size

    def _remove_stale(self) -> None:
        """Half-written entries of workers that died; an entry takes seconds to write, so a day is long enough."""
        for path in self.root.glob("*/*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies; on a full disk, go without."""
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(path.open("a")), fcntl.LOCK_EX)
        yield


def _store(path: Path, layer: CachedLayer) -> None:
    """Write under a temporary name and rename; a full disk costs the entry, not the run."""
    pixels = np.ascontiguousarray(layer.pixels, dtype=np.float32)
    parts = (_HEAD.pack(*pixels.shape[:2]), pixels.data.cast("B"), layer.method.encode())
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            for part in (_digest(parts), *parts):
                stream.write(part)
        temporary.replace(path)
    except OSError:
        return
    finally:
        temporary.unlink(missing_ok=True)


def _load(path: Path) -> CachedLayer | None:
    try:
        data = np.fromfile(path, dtype=np.uint8)  # uninitialised memory of its own: the pixels stay in it, writable
        os.utime(path)
    except OSError:
        return None
    start = _DIGEST_BYTES + _HEAD.size
    if data.size < start or _digest([data[_DIGEST_BYTES:].data]) != data[:_DIGEST_BYTES].tobytes():
        return None
    height, width = _HEAD.unpack(data[_DIGEST_BYTES:start].tobytes())
    end = start + height * width * 3 * 4
    return CachedLayer(data[start:end].view(np.float32).reshape(height, width, 3), data[end:].tobytes().decode())


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
