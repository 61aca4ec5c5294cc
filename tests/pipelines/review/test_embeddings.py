from __future__ import annotations

from pathlib import Path

import numpy as np

from bg20k.review import Decision
from bg20k.schema import CANDIDATES
from pipelines.review.embeddings import COMPONENTS, principal_components
from pipelines.review.queue import load_review
from rssn.storage.files import write_parquet
from tests.pipelines.reviewing import verdict, write_set


def write_embeddings(root: Path, vectors: np.ndarray, shard: int = 0, first: int = 0) -> None:
    plain = dict.fromkeys(CANDIDATES.names)
    rows = [
        plain | {"source": f"{first + n:05d}.jpg", "embedding": None if np.isnan(vector[0]) else vector.tolist()}
        for n, vector in enumerate(vectors)
    ]
    folder = root / "candidates" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder / f"candidates-{shard:05d}-of-00002.parquet", CANDIDATES, rows)


def test_the_components_span_what_differs_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 0.01, (60, 32))
    vectors[:, 5] += np.linspace(-1, 1, 60)
    vectors[7] = np.nan
    write_embeddings(tmp_path, vectors[:40])
    write_embeddings(tmp_path, vectors[40:], 1, 40)
    found = principal_components(tmp_path)
    assert set(found) == {f"{n:05d}.jpg" for n in range(60) if n != 7}
    firsts = np.array([found[name][0] for name in sorted(found)])
    assert found["00000.jpg"].shape == (COMPONENTS,)
    assert abs(np.corrcoef(firsts, vectors[np.arange(60) != 7, 5])[0, 1]) > 0.999


def test_without_embeddings_there_are_none(tmp_path: Path) -> None:
    assert principal_components(tmp_path) == {}
    write_embeddings(tmp_path, np.full((50, 32), np.nan))
    assert principal_components(tmp_path) == {}


def test_the_model_learns_what_only_the_embeddings_know(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = np.where(np.arange(200) % 2, 1.0, -1.0)
    vectors = rng.normal(0, 0.05, (200, 32))
    vectors[:, 3] += sides
    write_set(tmp_path, [verdict(n, score=0.4) for n in range(200)], pictures=False)
    write_embeddings(tmp_path, vectors)
    review = load_review(tmp_path)
    decisions = {f"{n:05d}.jpg": Decision("keep" if n % 2 else "reject", f"id{n:05d}") for n in range(80)}
    found = review.learnt(decisions)
    assert found is not None
    numbers = {photo.source: photo.number for photo in review.photos}
    keep = np.array([found.keep[numbers[f"{n:05d}.jpg"]] for n in range(80, 200)])
    assert ((keep > 0.5) == (sides[80:] > 0)).all()
