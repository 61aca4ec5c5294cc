"""What the tests of composition share: a job with small settings, and readers of what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.compose.job import ComposeJob
from pipelines.compose.layer_cache import LayerCache
from pipelines.executor.work import ErrorBudget
from rssn.dataset.dataset import open_dataset
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.route.recipe import Recipe, chosen_recipe, load_recipe

RECIPE = chosen_recipe("comp-rssn", "nlmeans", k=4)
PLAIN = replace(load_recipe("comp-bg20k"), k=2)
QUICK = replace(PLAIN, foreground="multiply")
NO_CACHE = LayerCache(Path("unused"), 0)


def job_of(matting: Path, bg20k: Path, out: Path, recipe: Recipe = RECIPE, seed: int = 0, **more: Any) -> ComposeJob:
    return ComposeJob(matting, bg20k, out, recipe, seed, ErrorBudget(), more.pop("cache", NO_CACHE), **more)


def rows(out: Path) -> Iterator[dict[str, Any]]:
    for mark in DatasetFolder(out).marks():
        yield from iter_rows(DatasetFolder(out).data(mark.name))


def rejects(out: Path) -> list[Mapping[str, Any]]:
    return list(open_dataset(out).rejects())


def digests(out: Path) -> dict[str, str]:
    return {mark.name: mark.sha256 for mark in DatasetFolder(out).marks()}


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
