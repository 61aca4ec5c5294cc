"""The training loop in the workers of Ray Train, for `train run --ray-workers N` over a Ray cluster."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from rssn.errors import DependencyError, InputError, RssnError
from rssn.progress import Progress
from rssn.stopping import kept
from rssn.storage.location import Location, parse_location
from rssn.storage.machine import available_cpus
from rssn.storage.stores import store
from train.checkpoint import load_checkpoint
from train.config import TrainConfig
from train.device import limit_threads
from train.loop.best import Best
from train.loop.distributed import TIMEOUT
from train.loop.loop import TrainResult, train
from train.loop.progress import step_listener
from train.signals import StopFile, StopSignals

_PATIENCE = 600.0  # seconds in which a cluster that is too small may grow
_LOOK_SECONDS = 5.0


def train_on_ray(config: TrainConfig) -> TrainResult:
    """Train with `config.world_size` workers of a Ray cluster (`RAY_ADDRESS`), or of one that is started here.

    `config.out` and the local files that `config` names must lie where every worker reaches them. SIGINT and SIGTERM
    end the run as in `train.loop.loop.train`.

    Raises:
        DependencyError: If Ray Train is not installed.
        InputError: If the cluster is too small, and does not grow.
        RssnError: What a worker refused, as `train.loop.loop.train` does.
    """
    config = _anywhere(config)
    stop = _stop_file(config)
    stop.clear()
    try:
        stopped_by = _fit(_trainer(config), stop, config.world_size)
    except RssnError:
        raise
    except Exception as error:
        raise _own(error) or error from None
    finally:
        stop.clear()
    path = config.out / "last.pt"
    last = load_checkpoint(path)
    return TrainResult(last.step, path, config.out / "curve.png", stopped_by, Best.from_plain(last.best))


def _trainer(config: TrainConfig) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    try:
        import ray  # noqa: PLC0415  (optional, and slow to load, as below)
        from ray.train import RunConfig, ScalingConfig  # noqa: PLC0415
        from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(
            f"--ray-workers: Ray Train is not installed ({error}): pip install 'rssn[ray-train]'"
        ) from error
    quiet = ray.LoggingConfig(log_level="ERROR")  # without Ray's dashboard a warning comes every second
    address = os.environ.get("RAY_ADDRESS")
    # of its own, as many as there are workers, at least: Ray Train waits for ever for a processor that never comes
    own = {} if address else {"num_cpus": max(available_cpus(), config.world_size)}
    with kept():
        ray.init(address or "local", ignore_reinit_error=True, logging_config=quiet, **own)
    return TorchTrainer(
        _worker,
        train_loop_config={"config": config},
        scaling_config=ScalingConfig(num_workers=config.world_size, use_gpu=torch.cuda.is_available()),
        torch_config=TorchConfig(timeout_s=int(TIMEOUT.total_seconds())),
        run_config=RunConfig(name="ray", **_storage(config.out)),
    )


def _storage(out: Location) -> dict[str, Any]:
    """Where Ray Train keeps its own files, in its words; every worker sees it."""
    if isinstance(out, Path):
        return {"storage_path": str(out)}
    from pyarrow.fs import FSSpecHandler, PyFileSystem  # noqa: PLC0415  (what only a bucket needs)

    system = PyFileSystem(FSSpecHandler(store(out.url)))
    return {"storage_path": out.url.partition("://")[2], "storage_filesystem": system}


def _fit(trainer: Any, stop: StopFile, workers: int) -> signal.Signals | None:
    """Train in a thread: in the main one Ray Train would take Ctrl-C over, and kill the workers before they save.

    Ray Train itself waits for ever for a node that never comes.
    """
    ended: Future[Any] = Future()

    def work() -> None:
        try:
            ended.set_result(trainer.fit())
        except Exception as error:
            ended.set_exception(error)

    with StopSignals() as signals:
        Thread(target=work, daemon=True).start()
        enough = looked = time.monotonic()
        while not wait([ended], timeout=0.2).done:
            now = time.monotonic()
            if now - looked > _LOOK_SECONDS:
                looked, lack = now, _lack(workers)
                enough = enough if lack else now
                if now - enough > _PATIENCE:
                    raise InputError(f"{lack} for {_PATIENCE / 60:g} minutes; give fewer --ray-workers, or add nodes")
            if signals.received:
                stop.write(signals.received)
        ended.result()
        return signals.received


def _lack(workers: int) -> str:
    """What the nodes that there are have too little of, whoever uses it now; empty where they have enough."""
    import ray  # noqa: PLC0415  (optional)

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if torch.cuda.is_available() else "CPU"
    have = int(sum(node.get(kind, 0) // 1 for node in nodes))
    return f"--ray-workers {workers} need a {kind} each, and the cluster has had {have}" if have < workers else ""


def _worker(settings: dict[str, Any]) -> None:
    config: TrainConfig = settings["config"]
    limit_threads(max(1, available_cpus() // config.world_size))
    try:
        with Progress(config.max_steps, "steps") as progress:
            train(config, step_listener(progress, config), _stop_file(config), progress.say)
    except RssnError as error:
        raise RuntimeError(f"{_MARK}{error}{_MARK}") from error


_MARK = "\u2063"  # invisible; around a message of ours among Ray's words


def _own(error: Exception) -> RssnError | None:
    """The message of a worker's own error, if that is what ended the run."""
    parts = str(error).split(_MARK)
    return InputError(parts[1]) if len(parts) >= 3 else None


def _stop_file(config: TrainConfig) -> StopFile:
    return StopFile(config.out / ".stop")


def _anywhere(config: TrainConfig) -> TrainConfig:
    """The same settings for workers that work in other folders."""
    return replace(
        config,
        out=_absolute(config.out),
        data=tuple(str(_absolute(parse_location(root))) for root in config.data),
        init=config.init and replace(config.init, path=_absolute(config.init.path)),
        weights=config.weights and _absolute(config.weights),
        part_weights=tuple(f"{part}={_absolute(path)}" for part, path in config.parse_part_weights().items()),
        validation=tuple(replace(each, path=_absolute(each.path)) for each in config.validation),
    )


def _absolute(place: Location) -> Location:
    return place.absolute() if isinstance(place, Path) else place
