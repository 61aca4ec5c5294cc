from __future__ import annotations

import pytest

from tests.benchmarks.bench_scaling import SHARD_BYTES, Cluster, simulate


def test_without_a_bottleneck_the_workers_are_all_there_is() -> None:
    found = simulate(Cluster(nodes=2, cores=2, store=1e15, shard_seconds=100.0, driver_seconds=0.0), shards=4000)
    moved = 2 * SHARD_BYTES / 100e6
    assert found.hours == pytest.approx(4000 * (100 + moved) / 4 / 3600, rel=0.01)
    assert found.busy == pytest.approx(100 / (100 + moved), rel=0.01)
    assert found.driver == 0


def test_a_slow_driver_is_the_bottleneck() -> None:
    found = simulate(Cluster(nodes=10, cores=16, store=1e15, shard_seconds=1.0, driver_seconds=1.0), shards=500)
    assert found.hours == pytest.approx(500 / 3600, rel=0.05)
    assert found.driver == pytest.approx(1.0, rel=0.05)


def test_a_slow_store_is_the_bottleneck() -> None:
    found = simulate(Cluster(nodes=10, cores=16, store=100e6, shard_seconds=1.0, driver_seconds=0.0), shards=200)
    assert found.hours == pytest.approx(200 * 2 * SHARD_BYTES / 100e6 / 3600, rel=0.02)
    assert found.store == pytest.approx(1.0, rel=0.02)
