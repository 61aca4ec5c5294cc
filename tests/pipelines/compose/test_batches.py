"""The algebra of batches: whatever is run, killed, added, changed, broken and repaired, nothing is lost or doubled."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.compose.job import ComposeJob, Output, run_compose
from pipelines.compose.plan import load_plan, stored_foregrounds
from pipelines.compose.prune import PruneJob, run_prune
from pipelines.executor.runner import LocalRunner
from rssn.dataset.batches import Superseded, batch_of, batch_path, batch_shard, superseded
from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.arrays import encode_jpeg, encode_png
from tests.pipelines.composing import QUICK, job_of, rejects, rows

K = 2
NAMES = "abcd"
RUNS = st.tuples(
    st.just("run"),
    st.sampled_from(["plain", "extend", "retry", "both", "prune"]),
    st.one_of(st.none(), st.integers(0, 30)),  # after how many writes it is killed
)
KINDS = ["add", "damage", "break", "remove", "lose"]
CHANGES = st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES), st.integers(0, 1))
LOSSES = st.tuples(st.just("lose a shard"), st.integers(0, 9))


class Killed(BaseException):
    """As a kill would end the process: nobody catches it, and what was not renamed yet is not there."""


@contextmanager
def killed_after(writes: int | None) -> Iterator[None]:
    real, count = Path.replace, 0

    def replaced(path: Path, target: Path) -> Path:
        nonlocal count
        if count == writes:
            raise Killed
        count += path.name.endswith(".tmp")
        return real(path, target)

    with patch.object(Path, "replace", replaced):
        yield


class World:
    """A matting set that changes, a data set that is made of it, and what it has to hold."""

    def __init__(self, root: Path) -> None:
        self.matting, self.photos, self.out = root / "matting", root / "photos", root / "out"
        for folder in (self.matting / "original", self.matting / "mask", self.photos):
            folder.mkdir(parents=True)
        for number in range(5):
            self.write(self.photos / f"{number}.png", number, (40, 30))
        self.change("add", "a", 0)
        self.rows: dict[str, dict[str, Any]] = {}  # that are there
        self.seen: dict[str, dict[str, Any]] = {}  # that were there once

    @staticmethod
    def write(path: Path, number: int, size: tuple[int, int]) -> None:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        path.write_bytes(encode_png(pixels) if path.suffix == ".png" else encode_jpeg(pixels))

    def change(self, what: str, name: str, version: int) -> None:
        picture, mask = self.matting / "original" / f"{name}.jpg", self.matting / "mask" / f"{name}.png"
        if what in ("remove", "lose"):
            picture.unlink(missing_ok=True)
            if what == "remove":
                mask.unlink(missing_ok=True)
            return
        self.write(picture, 100 + 10 * NAMES.index(name) + version, (16, 12))
        mask.write_bytes(encode_png(np.tile(np.linspace(0, 255, 16).astype(np.uint8), (12, 1))))
        whole = picture.read_bytes()
        if what == "damage":  # its header is whole: it is planned, and refused when it is composed
            picture.write_bytes(whole[: len(whole) * 2 // 3])
        elif what == "break":
            picture.write_bytes(b"no picture")

    def job(self, out: Path, **asked: bool) -> ComposeJob:
        return job_of(self.matting, self.photos, out, RECIPE, output=SHARDS, **asked)

    def run(self, how: str, writes: int | None) -> None:
        try:
            with killed_after(writes):
                if how == "prune":
                    run_prune(PruneJob(self.out, self.matting))
                else:
                    asked = {"extend": how in ("extend", "both"), "retry_rejects": how in ("retry", "both")}
                    run_compose(self.job(self.out, **asked), LocalRunner())
        except (InputError, Killed) as error:
            ended = False
            if how == "prune" and isinstance(error, Killed):
                with suppress(InputError):
                    run_prune(PruneJob(self.out, self.matting))
        else:
            ended = True
        self.check(pruned=how == "prune", ended=ended)

    def lose_shard(self, number: int) -> None:
        """As a disk that fails; what its sources are there for is made again, to the byte."""
        folder = DatasetFolder(self.out)
        if names := sorted(mark.name for mark in folder.marks() if mark.rows):
            folder.data(names[number % len(names)]).unlink(missing_ok=True)
            left = sorted((self.out / "data").glob("*.parquet"))
            self.rows = {row["sample_id"]: row for path in left for row in iter_rows(path)}

    def check(self, *, pruned: bool, ended: bool) -> None:
        """Each sample once, none lost and none altered; a run that ended well says what is there."""
        if not self.out.is_dir():
            return
        found = list(rows(self.out))
        assert [name for name, count in Counter(row["sample_id"] for row in found).items() if count > 1] == []
        now = {row["sample_id"]: row for row in found}
        assert {name for name, row in now.items() if self.seen.setdefault(name, row) != row} == set()
        assert pruned or self.rows.keys() <= now.keys()
        self.rows = now
        if ended:
            manifest = read_manifest(self.out)
            assert manifest.totals["rows"] == len(found)
            counted = [row for row in rejects(self.out) if row["stage"] != "background"]
            assert manifest.totals["rejected"] == len(counted)


RECIPE = replace(QUICK, k=K, max_upscale=2.0)
SHARDS = Output(shard_rows=3)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(CHANGES, RUNS, LOSSES), min_size=2, max_size=9))
def test_any_history_ends_with_what_a_fresh_run_gives(
    tmp_path_factory: pytest.TempPathFactory, history: list[Any]
) -> None:
    root = tmp_path_factory.mktemp("world")
    world = World(root)
    for what, *of in history:
        if what == "run":
            world.run(*of)
        elif what == "lose a shard":
            world.lose_shard(*of)
        else:
            world.change(what, *of)
    for name in NAMES:
        world.change("add", name, 1)
    for how in ("extend", "both", "both"):
        world.run(how, None)
    run_compose(world.job(root / "fresh"), LocalRunner())
    stays = load_plan(world.out).pruned
    fresh = {row["sample_id"]: row for row in rows(root / "fresh") if not stays.holds(row["sample_id"])}
    assert {name: world.rows.get(name) for name in fresh} == fresh
    good = {row["foreground_id"] for row in fresh.values()}
    assert not [row for row in rejects(world.out) if row["item_id"].partition("/")[0] in good]
    shutil.rmtree(root)


def test_a_batch_is_planned_once_and_never_without_need(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run("plain", None)
    first = batch_path(world.out, 0).read_bytes()
    for how in ("extend", "retry", "both"):
        world.run(how, None)
    assert load_plan(world.out).batches == 1
    world.change("add", "b", 0)
    world.change("damage", "c", 0)
    world.run("extend", None)
    world.change("add", "d", 0)
    world.run("retry", None)
    assert batch_path(world.out, 0).read_bytes() == first
    planned = [[(one.source, one.ks) for one in stored_foregrounds(world.out, batch)] for batch in range(3)]
    assert planned[1:] == [[("original/b.jpg", ()), ("original/c.jpg", ())], [("original/c.jpg", (0, 1))]]
    listed = read_manifest(world.out).plan["foregrounds"]["batches"]
    assert [one["count"] for one in listed] == [1, 2, 1]
    assert not batch_path(world.out, 3).exists()


def test_what_is_planned_follows_a_data_set_that_is_moved(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run("plain", None)
    shutil.move(world.matting, tmp_path / "elsewhere")
    world.matting = tmp_path / "elsewhere"
    DatasetFolder(world.out).mark("composites-00000-of-00001").unlink()
    before = world.rows
    world.run("plain", None)
    assert world.rows == before
    assert load_plan(world.out).foregrounds[0].pair.alpha.path == str(tmp_path / "elsewhere" / "mask" / "a.png")


def test_a_batch_that_is_listed_and_was_never_begun_is_planned_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run("plain", None)
    world.change("add", "b", 0)
    world.run("extend", None)
    for name in [mark.name for mark in DatasetFolder(world.out).marks() if batch_of(mark.name) == 1]:
        DatasetFolder(world.out).mark(name).unlink()
        DatasetFolder(world.out).data(name).unlink()
    batch_path(world.out, 1).unlink()
    world.rows = {name: row for name, row in world.rows.items() if row["foreground_source"] == "original/a.jpg"}
    world.run("extend", None)
    assert len(world.rows) == 2 * K


def test_the_plan_of_a_killed_run_is_not_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run("plain", None)
    batch_path(world.out, 1).write_bytes(b"half of something")
    assert load_plan(world.out).batches == 1
    assert superseded(world.out) == Superseded()
    world.run("plain", None)
    assert not batch_path(world.out, 1).exists()


def test_the_names_of_shards_say_their_batch() -> None:
    for batch in (0, 1, 12):
        name = batch_shard("composites", batch, 3, 40)
        assert (batch_of(name), batch_of(f"{name}-failed")) == (batch, batch)
    assert batch_shard("composites", 0, 3, 40) == "composites-00003-of-00040"
    assert batch_shard("composites", 12, 3, 40) == "composites-x12-00003-of-00040"
    assert batch_of("plan") == batch_of("photographs-00000-of-00001") == 0


def test_what_a_later_batch_has_counts_no_more() -> None:
    later = Superseded({"f/1": 2}, {"g": 1})
    assert [later.covers(batch, "f/1") for batch in (0, 1, 2)] == [True, True, False]
    assert [later.covers(batch, "g/0") for batch in (0, 1)] == [True, False]
    assert not later.has(0, "g/0")
    assert not later.covers(0, "f/0")
