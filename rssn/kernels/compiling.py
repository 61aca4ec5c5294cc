"""Compiled functions: numba's, kept on the disk for every process, environment and checkout of a user.

numba keeps compiled code by the path and date of one file; what that file's functions call may be of another version.
Here it is kept by the content of all kernels, below `~/.cache/rssn-kernels` or NUMBA_CACHE_DIR. Each content and each
kind of processor has files of its own: two that write at once would otherwise take each other's code for theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba import __version__, config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime.nrt import rtsys

from rssn.errors import InputError, first_line
from rssn.storage.machine import cache_home
from rssn.versions import version

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a module's function, once for all processes of a machine; it runs without the interpreter's lock.

    Dividing by zero raises nothing in it: threads of one picture wait for each other.

    Raises:
        InputError: If there is no folder in which compiled code can be kept.
    """
    made = njit(nogil=True, error_model="numpy")(function)
    try:
        made._cache = _Kept(function)
    except (OSError, RuntimeError) as error:
        words = "compiled code can be kept nowhere; set NUMBA_CACHE_DIR to a folder that can be written"
        raise InputError(f"{words} ({first_line(error)})") from error
    return cast(_Function, made)


def inlined(function: _Function) -> _Function:
    """A part of the compiled functions that call it: compiled inside of each of them, and never on its own.

    A compiled function that is called by others is compiled once for itself and once more with each of them.
    """
    return cast(_Function, njit(inline="always")(function))


class _Place(_CacheLocator):  # type: ignore[misc]
    """Where the compiled code of a function is kept, and what it was made of."""

    def __init__(self, function: Any, file: str) -> None:
        root = Path(config.CACHE_DIR) if config.CACHE_DIR else cache_home() / "rssn-kernels"
        self._folder = root / f"{version('rssn')}-numba-{__version__}"
        self._file = Path(file)
        whose = f"{self.get_source_stamp()[:16]}-{_processor()[:8]}"
        self._name = f"{function.__module__}-{function.__code__.co_firstlineno}-{whose}"

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return sha256(_digest_of_kernels() + self._file.read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Place:
        """The place of a function of this file.

        Raises:
            OSError: If it cannot be made.
        """
        place = cls(function, file)
        place.ensure_cache_path()
        return place


@cache
def _digest_of_kernels() -> bytes:
    """Of all kernels, for what is compiled of one may be part of another's code."""
    return sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))).digest()


@cache
def _processor() -> str:
    """What code is compiled for, as a digest."""
    name = config.CPU_NAME or get_host_cpu_name()
    features = get_host_cpu_features().flatten() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return sha256(f"{name} {features}".encode()).hexdigest()


class _Code(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Place,)


class _Kept(FunctionCache):  # type: ignore[misc]
    _impl_class = _Code

    def load_overload(self, signature: Any, context: Any) -> Any:
        """As numba does, but for what only compiling needs, half a second of imports, and what only hashing does."""
        rtsys.initialize(context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)
