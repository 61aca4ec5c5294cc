"""Fixtures that every test package shares."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from rssn.storage.machine import available_cpus
from tests.bucket import Store
from tests.stores.running import start

hypothesis.settings.register_profile("unhurried", deadline=None)  # shared machines stall; no test is timed
hypothesis.settings.load_profile("unhurried")


# A suite that was started in the background ignores Ctrl-C, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


_DEAR = ("ray_runner", "plain_kernels")  # fixtures whose tests are slow
Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`--numprocesses auto`: one more than processors, for many tests wait for processes that start or end."""
    return available_cpus() + 1


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones come first, so that no process is left alone with one at the end."""
    for item in items:
        if not set(_DEAR).isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Whatever commands that ran in this process have set: threads of many small fits wait for each other, busily."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once(name, make)`: a folder that `make(folder)` fills once for all processes that run tests; to be read only."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def filled(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return filled


_WARM_UP = """
from rssn.route.recipe import load_recipe
from pipelines.executor.warm_up import warm_up
from rssn.kernels.closed_form.solver import iterate
warm_up(load_recipe("comp-rssn"))
print(iterate.stats.cache_misses.total(), iterate.stats.cache_hits.total())
"""


@dataclass(frozen=True)
class PlainKernels:
    """Kernels for a processor without wide vectors, as three processes compiled or loaded them at once.

    Attributes:
        environment: Makes numba believe in such a processor, and leads to the compiled code.
        words: How often each process compiled, and how often it loaded, in order.
    """

    environment: dict[str, str]
    words: list[str]


@pytest.fixture(scope="session")
def plain_kernels(once: Once) -> PlainKernels:
    def plain(folder: Path) -> dict[str, str]:
        return {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(folder / "kernels")}

    def compile_(folder: Path) -> None:
        environment = os.environ | plain(folder) | {"TMPDIR": str(folder)}
        command = [sys.executable, "-c", _WARM_UP]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
        words = sorted(process.communicate(timeout=500)[0].strip() for process in running)
        (folder / "words.txt").write_text("\n".join(words))

    folder = once("plain", compile_)
    return PlainKernels(plain(folder), (folder / "words.txt").read_text().splitlines())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs, `../shared` or `RSSN_TEST_DATA`; skips where it is absent."""
    folder = Path(os.environ.get("RSSN_TEST_DATA") or Path(__file__).parents[2] / "shared").resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data: {folder}/data is absent (set RSSN_TEST_DATA)")
    return folder


_NUMBERS = count()


@pytest.fixture(scope="session")
def _running_store() -> Iterator[Callable[[str], Store]]:
    """Starts a store when it is first asked for."""
    running: dict[str, Store] = {}

    def store(protocol: str) -> Store:
        if protocol not in running:
            running[protocol] = start(protocol)
        return running[protocol]

    yield store
    for each in running.values():
        each.close()


@pytest.fixture
def _leads_to(
    _running_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Store]]:
    """Lets the environment lead to a store."""
    used: list[Store] = []

    def store(protocol: str) -> Store:
        used.append(_running_store(protocol))
        for name, value in used[-1].environment.items():
            monkeypatch.setenv(name, value)
        used[-1].hasten(monkeypatch)
        return used[-1]

    yield store
    for each in used:
        each.faults = []


@pytest.fixture
def s3(_leads_to: Callable[[str], Store]) -> Store:
    """The store that speaks S3, which the environment leads to."""
    return _leads_to("s3")


@pytest.fixture
def bucket(s3: Store) -> str:
    """A new bucket."""
    return s3.bucket(f"bucket-{next(_NUMBERS)}")


@pytest.fixture(params=["s3", "gs", "az"])
def store(request: pytest.FixtureRequest, _leads_to: Callable[[str], Store]) -> Store:
    """Each store, which the environment leads to; skips where its emulator is not installed."""
    return _leads_to(request.param)


@pytest.fixture
def place(store: Store) -> str:
    """A new bucket of each store."""
    return store.bucket(f"place-{next(_NUMBERS)}")
