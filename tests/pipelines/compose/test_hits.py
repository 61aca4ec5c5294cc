"""SIGKILL of drivers and workers while the temporary file of a shard is there, and the same command again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from rssn.image.arrays import encode_jpeg, encode_png
from tests.hitting import KILLS, Command, content, differing, hit, shard_in, writer_of

pytestmark = pytest.mark.slow

PHOTOGRAPHS = 100  # 10 candidate shards, and as many of each split
FOREGROUNDS = KILLS + 4  # a shard each


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        coarse = rng.uniform(20, 235, (6, 8, 3))
        fine = cv2.resize(coarse, (440, 330), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (330, 440, 3))
        (folder / f"{number:04d}.jpg").write_bytes(encode_jpeg(np.clip(fine, 0, 255).astype(np.uint8)))
    return folder


@pytest.fixture(scope="module")
def matting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matting")
    rng = np.random.default_rng(1)
    rise = np.clip((np.arange(480) - 180) / 120, 0, 1)
    for part in ("original", "mask"):
        (folder / part).mkdir()
    for number in range(FOREGROUNDS):
        picture = cv2.resize(rng.uniform(20, 235, (8, 12, 3)), (480, 320), interpolation=cv2.INTER_CUBIC)
        alpha = np.rint(255 * np.tile(np.roll(rise, number), (320, 1))).astype(np.uint8)
        (folder / "original" / f"{number:02d}.png").write_bytes(encode_png(np.clip(picture, 0, 255).astype(np.uint8)))
        (folder / "mask" / f"{number:02d}.png").write_bytes(encode_png(alpha))
    return folder


class Making:
    """A command that makes a data set, and what it makes when nobody disturbs it."""

    def __init__(self, words: list[object], base: Path) -> None:
        self.words = words
        self.base = base
        whole = self.command("whole", 0)
        whole.run()
        self.whole = content(base / "whole" / "out")

    def command(self, name: str, workers: int) -> Command:
        folder = self.base / name
        folder.mkdir()
        return Command("pipelines.cli", [*self.words, "--out", "out", "--workers", workers], folder)

    def check(self, command: Command) -> None:
        """The same files, to the byte; only the number of workers in the command that is recorded differs."""
        workers = str(command.words[-1]).encode()
        found = content(command.folder / "out")
        found = {name: data.replace(b"--workers " + workers, b"--workers 0") for name, data in found.items()}
        assert differing(found, self.whole) == []


@pytest.fixture(scope="module", params=["build-bg20k", "pack"])
def making(
    request: pytest.FixtureRequest, photos: Path, matting: Path, tmp_path_factory: pytest.TempPathFactory
) -> Making:
    words = {
        "build-bg20k": ["build-bg20k", photos, "--min-side", 120],
        "pack": ["pack", "--matting", matting, "--shard-rows", 1],
    }
    return Making(words[request.param], tmp_path_factory.mktemp(request.param))


def places(command: Command) -> tuple[Path, Path]:
    return command.folder / "out" / "candidates" / "data", command.folder / "out" / "data"


def test_a_driver(making: Making) -> None:
    """Without workers, so that it writes the shards itself; killed at another file each time it comes so far."""
    command = making.command("driver", 0)
    look = shard_in(*places(command))
    hits: list[str] = []
    for number in range(KILLS):
        seen: set[str] = set()

        def victim(path: Path, number: int = number, seen: set[str] = seen) -> int | None:
            seen.add(path.name)
            return writer_of(path) if len(seen) > number % 3 else None

        with command.running() as process:
            path = hit(process, look, writer_of, victim)
        assert path is not None, command.said()
        assert path.exists()
        hits.append(path.name)
    command.run()
    assert len(hits) == KILLS
    making.check(command)


def test_the_driver_of_workers(making: Making) -> None:
    """Its workers end with it, in the middle of a shard."""
    command = making.command("driver-of-workers", 2)
    with command.running() as process:
        assert hit(process, shard_in(*places(command)), writer_of, lambda path: process.pid), command.said()
    command.run()
    making.check(command)


def test_workers(making: Making) -> None:
    """As many runs as the kills need: no shard's worker dies more than twice, for a third time a picture is refused."""
    kills = rounds = 0
    while kills < KILLS:
        command = making.command(f"workers-{rounds}", 2)
        deaths = killed_workers(command, KILLS - kills)
        assert deaths.total() > 0, command.said()
        making.check(command)
        kills, rounds = kills + deaths.total(), rounds + 1
    assert kills == KILLS


def killed_workers(command: Command, most: int) -> Counter[str]:
    """Run a command to its end, and kill the workers of its shards; how often, by shard."""
    deaths: Counter[str] = Counter()

    def shard(path: Path) -> str:
        return path.name.rpartition(".parquet.")[0]

    with command.running() as process:
        while deaths.total() < most:
            path = hit(
                process,
                shard_in(*places(command)),
                writer_of,
                lambda path: writer_of(path) if deaths[shard(path)] < 2 else None,
            )
            if path is None:
                break
            deaths[shard(path)] += 1
        process.wait(300)
    assert process.returncode == 0, command.said()
    return deaths
