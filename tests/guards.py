"""Arrays between pages of memory that nobody may touch: compiled code that leaves one ends the process."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_KEPT: list[mmap.mmap] = []


def assert_stays_inside(script: str, side: str) -> None:
    """Run a script to its end; its argument is the side of arrays ("start" or "end") where memory is forbidden."""
    done = subprocess.run([sys.executable, "-c", script, side], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def guarded(array: Any, at_end: bool, multiple: int = 1) -> Any:
    """A copy that ends, or starts, where memory is forbidden, with room for a multiple of so many bytes."""
    if not isinstance(array, np.ndarray) or not array.nbytes:
        return array
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    room = -(-array.nbytes // multiple) * multiple
    pages = -(-room // _PAGE)
    memory = mmap.mmap(-1, (pages + 2) * _PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (address, address + (pages + 1) * _PAGE):
        assert protect(guard, _PAGE, 0) == 0
    _KEPT.append(memory)
    start = (pages + 1) * _PAGE - room if at_end else _PAGE
    copied = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copied[...] = array
    return copied


def guard(module: ModuleType, at_end: bool) -> None:
    """Let all arrays that numpy makes for a module be `guarded`; call its compiled functions once before."""
    module.np = _Numpy(at_end)  # type: ignore[attr-defined]


def release() -> None:
    """Give back the memory of arrays that are no longer used."""
    _KEPT.clear()


class _Numpy:
    def __init__(self, at_end: bool) -> None:
        self._at_end = at_end

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, (type, np.ufunc)) or not callable(found):
            return found
        return lambda *given, **named: guarded(found(*given, **named), self._at_end)
