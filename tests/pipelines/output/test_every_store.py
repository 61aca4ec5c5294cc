"""The whole way through every store: curate, compose, a kill, two drivers, throttling, cuts, inspect.

What a command is given and prints, and what lies in the bucket, is compared with the same in folders.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from tests.bucket import Fault, Store
from tests.conftest import Once
from tests.pipelines.composing import files
from tests.pipelines.conftest import MIN_SIDE
from train.data.shards import open_set, read_group

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def curating(root: object) -> list[str]:
    arguments = ["build-bg20k", f"{root}/photos", "--out", f"{root}/bg20k", "--min-side", MIN_SIDE, "--workers", 0]
    return [*map(str, arguments)]


def composing(root: object, out: object, cache: Path) -> list[str]:
    inputs = ["compose", "--matting", f"{root}/am2k", "--backgrounds", f"{root}/bg20k", "--out", out]
    settings = ["--recipe", "comp-bg20k", "--foreground", "multiply", "--k", 2, "--workers", 0, "--cache-dir", cache]
    return [*map(str, inputs + settings)]


def command(*arguments: object) -> str:
    """What a command that succeeds prints."""
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="session")
def here(synthetic: Path, once: Once) -> Path:
    """Photographs and a matting set, and what becomes of them in folders: `bg20k/` and `out/`."""

    def make(folder: Path) -> None:
        shutil.copytree(synthetic / "matting", folder / "am2k")
        (folder / "photos").mkdir()
        (folder / "photos" / "photo_broken.jpg").write_bytes(b"no picture")
        for path in sorted((synthetic / "photos").glob("photo_*"))[:5]:
            shutil.copy(path, folder / "photos")
        command(*curating(folder))
        command(*composing(folder, folder / "out", folder / "cache"))

    return once("every-store", make)


def made(found: dict[str, bytes]) -> dict[str, bytes]:
    """What does not name its sources."""
    kinds = ("data/", "marks/", "rejects/", "candidates/", "verdicts.parquet")
    return {name: data for name, data in found.items() if name.startswith(kinds)}


def name_of(folder: Path, pattern: str, number: int) -> str:
    return sorted(folder.glob(pattern))[number].relative_to(folder).as_posix()


def same(store: Store, url: str, folder: Path) -> bool:
    there, whole = store.stored(url), files(folder)
    assert there.keys() == whole.keys()
    return made(there) == made(whole)


def kill_at(fault: Fault, store: Store, arguments: list[str]) -> int:
    """Start a command, try the same beside it when it hangs, and kill it; its process's number."""
    store.faults = [fault]
    started = [sys.executable, "-m", "pipelines.cli", *arguments]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        deadline = time.time() + 300
        while not fault.seen and time.time() < deadline:
            assert driver.poll() is None, "the run ended before it was killed"
            time.sleep(0.01)
        second = CliRunner().invoke(main, arguments)
        driver.kill()
    assert second.exit_code == 1
    assert f"another run is at work here (process {driver.pid} on " in second.output
    return driver.pid


def test_the_whole_way(store: Store, place: str, here: Path, tmp_path: Path) -> None:
    for name in ("am2k", "photos"):
        for file, data in files(here / name).items():
            store.put(f"{place}/{name}/{file}", data)
    cache, out = tmp_path / "cache", f"{place}/out"

    store.faults = faults = [
        Fault("throttle", "PUT", "bg20k/candidates/data/"), Fault("cut", "PUT", "bg20k/data/"),
        Fault("fail", "PUT", "bg20k/marks/"), Fault("throttle", "GET", "list-type"),
        Fault("cut", "GET", "photo_"), Fault("throttle", "GET", "photo_"),
    ]  # fmt: skip
    said = command(*curating(place))
    assert [fault.seen for fault in faults] == [1] * len(faults)
    assert same(store, f"{place}/bg20k", here / "bg20k")

    kill_at(Fault("hang", "PUT", name_of(here / "out", "marks/*", 1)), store, composing(place, out, cache))
    half, shard = store.names(out), name_of(here / "out", "data/*", 2)
    store.start_upload(f"{out}/{shard}")
    assert store.names(out) == half
    store.faults = faults = [
        Fault("throttle", "PUT", "out/data/"), Fault("cut", "PUT", shard), Fault("fail", "PUT", "out/marks/"),
        Fault("cut", "GET", "am2k/.*png"), Fault("cut", "PUT", "out/manifest"), Fault("lose", "PUT", "out/README"),
    ]  # fmt: skip
    said += command(*composing(place, out, cache))
    assert [fault.seen for fault in faults] == [1] * len(faults)
    assert f"4 composites written, 2 reused, 0 rejected: {out}" in said
    assert same(store, out, here / "out")
    assert f"0 composites written, 6 reused, 0 rejected: {out}" in command(*composing(place, out, cache))

    sets = [open_set(str(root), ("image", "alpha")) for root in (out, here / "out")]
    assert (sets[0].digest, sets[0].sizes) == (sets[1].digest, sets[1].sizes)
    first = [read_group(each.places[0], ["image", "alpha"]) for each in sets]
    assert first[0] == first[1]

    said += command("inspect", out, "--strips", 1)
    assert f"report  {out}/report/index.html" in said
    assert {"report/index.html", "report/step-strip-01.png"} <= store.names(out)
    assert f"{out}: composites, finished" in command("status", out)
    written = b"".join(store.stored(place).values())
    assert [secret for secret in store.secrets if secret in said or secret.encode() in written] == []
    assert list(tmp_path.rglob("*composites-*")) == []


def test_a_refusal_is_one_line(rssn: Run, store: Store, place: str) -> None:
    """Also where the store's package would log a traceback."""
    store.faults = [Fault("refuse", "GET", ".", times=99), Fault("refuse", "HEAD", ".", times=99)]
    done = rssn("status", f"{place}/out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {place}/out")
    assert "access is refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1
