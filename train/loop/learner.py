"""A network that learns: optimiser, precision, clipping and the moving average, and what of it a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rssn.errors import InputError, RssnError, first_line
from rssn.storage.location import Location
from rssn.storage.weights import check_values
from train.batch import Batch
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.data.order import Place
from train.device import gpu_rng_state, set_gpu_rng_state
from train.loop.distributed import Group, unsynchronised
from train.loop.initial import Initial, initialise
from train.loop.optimiser import build_optimiser, learning_rate, load_optimiser, set_rate
from train.network.network import MattingNetwork, build_network
from train.network.networks import Update, span_at
from train.network.weights import first_of

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NonFiniteLoss(RssnError):
    """Training diverged; the message names the step, the terms and the samples."""


class Pass(nn.Module):
    """A method of a network as a module, for what wraps modules."""

    def __init__(self, network: MattingNetwork, method: str) -> None:
        super().__init__()
        self.network, self._method = network, method

    def forward(self, *inputs: Tensor) -> Any:
        """As that method of the network."""
        return getattr(self.network, self._method)(*inputs)


@dataclass(frozen=True, eq=False)
class ActiveUpdate:
    """One of the updates of the stage at hand, with its optimiser."""

    network: MattingNetwork
    update: Update
    optimiser: torch.optim.Optimizer
    wrapped: nn.Module
    forward: Callable[..., Any]  # of `wrapped`, perhaps compiled
    weights: Mapping[str, float]  # of the terms of its loss

    def step(self, scaler: torch.amp.GradScaler, rate: float, clip: float) -> bool:
        """A step of the optimiser; whether there was one: with fp16 a gradient may be infinite."""
        if self.update.optimiser is None:
            set_rate(self.optimiser, rate * self.update.rate)
        scaler.unscale_(self.optimiser)
        known = {id(each) for group in self.optimiser.param_groups for each in group["params"]}
        learning = [each for each in self.network.parameters() if id(each) in known]
        norm = float(nn.utils.clip_grad_norm_(learning, clip or math.inf))
        if math.isfinite(norm):
            scaler.step(self.optimiser)
        return math.isfinite(norm)


def _weights(config: TrainConfig) -> dict[str, Location]:
    """The files for encoders, by the names of parts."""
    return config.parse_part_weights() | ({"encoder": config.weights} if config.weights else {})


class Learner:
    """A network and its optimiser.

    Args:
        config: The run's settings.
        group: The processes that train it together.
        stored: The checkpoint to resume from; None starts a new run.

    Attributes:
        started: How much of the network that a new run starts from fits, in words; empty without one.

    Raises:
        InputError: If what it starts or resumes from does not fit, or random values would be frozen.
    """

    def __init__(self, config: TrainConfig, group: Group, stored: Checkpoint | None = None) -> None:
        self._config = config
        self._group = group
        torch.backends.cudnn.deterministic = True
        torch.manual_seed(config.seed)
        self.network = build_network(config.to_plain(), {} if stored or config.init else _weights(config), config.seed)
        self.started = "" if stored else self._begin()
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network.to(group.device, memory_format=layout).train()  # type: ignore[call-overload]
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=config.precision == "fp16")
        self.step = stored.step if stored else 0
        self.position = 0
        self._order_size = (stored and stored.order_size) or config.step_size
        self._ema: dict[str, Tensor] = {}
        self._spans = config.spans
        self._begin_stage()
        if stored:
            self._restore(stored)
        if config.ema and not self._ema:
            self._ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    @property
    def place(self) -> Place:
        """Where in the order of the samples it is."""
        return Place(self.step, self.position, self._order_size)

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser; a loss or gradient that is not finite changes no weight.

        Losses and gradient are those of the whole batch, of which `config.batch_size` samples are computed at once.
        Batch norms that learn see these alone, so that their statistics are of fewer samples.

        Args:
            batch: This process's samples of the step.

        Returns:
            The terms of the loss, means over the processes; and `skipped`, 1, where fp16's gradient overflowed.

        Raises:
            NonFiniteLoss: If the loss or its gradient is not finite in any process; with fp16, if scaling the loss
                by less and less, down to 1, did not help.
        """
        if self.step == self._span.end:
            self._begin_stage()
        found = self._gradient(batch)
        terms = ", ".join(f"{name} {value:g}" for name, value in found.items())
        self._check(math.isfinite(sum(found.values())), f"the loss is not finite ({terms})", batch)
        rate = learning_rate(self._config, self.step, self._span)
        scale = self.scaler.get_scale()
        moved = [active.step(self.scaler, rate, self._config.clip) for active in self._updates]
        skipped = not all(moved)
        if self.scaler.is_enabled():
            self.scaler.update()
        helps = 1.0 <= self.scaler.get_scale() < scale
        self._check(helps or not skipped, f"the loss is finite ({terms}), its gradient is not", batch)
        self.step += 1
        self.position += self._config.step_size
        if skipped:
            return {**found, "skipped": 1.0}
        self._update_ema()
        return found

    def state(self, data_digest: str) -> Checkpoint:
        """What a checkpoint of this step holds."""
        return Checkpoint(
            step=self.step,
            config=self._config.to_plain(),
            model=self.network.state_dict(),
            data_digest=data_digest,
            optimiser=self.optimiser.state_dict(),
            stage=self._span.stage.name,
            further={active.update.method: active.optimiser.state_dict() for active in self._updates[1:]},
            ema=self._ema,
            scaler=self.scaler.state_dict(),
            position=self.position,
            order_size=self._order_size,
            scales=self.network.scales.to_plain() if self.network.scales else {},
            rng=torch.get_rng_state(),
            gpu_rng=gpu_rng_state(self._group.device),
        )

    def _begin(self) -> str:
        """Take the weights of `config.init`; which fit and which do not, in words."""
        config = self._config
        if config.init:
            found = initialise(self.network, config.init.path)
        else:
            found = Initial(self.network.published(_weights(config)), "")
        frozen = self.network.frozen(config.freeze, config.freeze_stages)
        random = [name for name in frozen if name not in found.loaded]
        if random:
            parts = [f"--freeze {' and '.join(config.freeze)}"] if config.freeze else []
            given = " ".join([*parts, *([f"--freeze-stages {config.freeze_stages}"] if config.freeze_stages else [])])
            raise InputError(
                f"{given}: {first_of(random)} would stay at random values; give --init with a network that has them"
            )
        return found.words

    def _begin_stage(self) -> None:
        """Freeze what the stage at hand does not train, and give what it trains fresh optimisers."""
        self._span = span_at(self._spans, self.step)
        updates = self._span.stage.updates
        frozen = (*self._config.freeze, *(() if self._span.stage.norms else ("norms",)))
        stages = self._config.freeze_stages
        self.network.zero_grad(set_to_none=True)
        self._updates = []
        for update in updates:
            self.network.freeze(frozen, update.trains, stages)  # processes exchange gradients of what learns here
            optimiser = build_optimiser(self._config, self.network, update)
            module = self.network if update.method == "forward" else Pass(self.network, update.method)
            wrapped = self._group.wrap(module)
            forward = torch.compile(wrapped) if self._config.compile else wrapped
            weights = self._config.weights_of(update)
            self._updates.append(ActiveUpdate(self.network, update, optimiser, wrapped, forward, weights))
        trained = [part for update in updates for part in update.trains]
        self.network.freeze(frozen, trained if all(update.trains for update in updates) else (), stages)
        self.optimiser = self._updates[0].optimiser

    def _gradient(self, batch: Batch) -> dict[str, float]:
        """Leave the gradients of a batch's losses with the parameters; their terms are returned."""
        for active in self._updates:
            active.optimiser.zero_grad(set_to_none=True)
        parts = batch.split(self._config.batch_size)
        count = self._group.mean(batch.transition.sum().to(self._group.device) / len(parts))
        found: dict[str, Tensor] = {}
        for each in parts:
            losses = self._run_updates(each.to(self._group.device), count, len(parts), last=each is parts[-1])
            found = {name: value.detach() / len(parts) + found.get(name, 0.0) for name, value in losses.items()}
        means = self._group.mean(torch.stack(list(found.values())))
        return dict(zip(found, means.tolist(), strict=True))

    def _run_updates(self, batch: Batch, count: Tensor, parts: int, *, last: bool) -> dict[str, Tensor]:
        """One update after the other on a part of a batch; `total` is the first one's."""
        seen: dict[str, Tensor] = {name: value for name, value in batch._asdict().items() if name != "sample_ids"}
        if self._config.channels_last:
            seen["image"] = batch.image.contiguous(memory_format=torch.channels_last)
        half = _HALVES.get(self._config.precision)
        terms: dict[str, Tensor] = {}
        for active in self._updates:
            with nullcontext() if last else unsynchronised(active.wrapped):
                with torch.autocast(self._group.device.type, dtype=half, enabled=half is not None):
                    found = active.forward(*(seen[name] for name in active.update.reads))
                losses = self.network.losses(found, batch, active.weights, count)
                torch.autograd.backward(self.scaler.scale(losses["total"] / parts))
            seen |= {f"predicted.{name}": value.detach() for name, value in found._asdict().items()}
            terms |= {name: value for name, value in losses.items() if name not in terms}
        return terms

    def _check(self, good: bool, problem: str, batch: Batch) -> None:
        if not good:
            names = ", ".join(self._group.all_gather(batch.sample_ids))
            raise NonFiniteLoss(
                f"step {self.step + 1}: {problem}; samples: {names}; look at them with `rssn "
                f"inspect`, or lower --learning-rate; {self._config.out / 'last.pt'} is from before"
            )

    def _update_ema(self) -> None:
        """Move the average towards the weights; what is no float (batch counters) is taken over.

        The decay comes up from 0.1, or the random weights of the start would count for as long as the average looks
        back: with a decay of 0.999 they are half of it after 693 steps.
        """
        decay = min(self._config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items() if self._ema else ():
            if value.is_floating_point():
                self._ema[name].lerp_(value, 1.0 - decay)
            else:
                self._ema[name].copy_(value)

    def _restore(self, stored: Checkpoint) -> None:
        path = self._config.out / "last.pt"
        try:
            self._load(stored)
        except Exception as error:  # torch raises whatever a foreign state makes it raise
            raise InputError(f"{path}: cannot be resumed with these settings: {first_line(error)}") from error
        states = [each for active in self._updates for each in active.optimiser.state.items()]
        for at, (parameter, state) in enumerate(states):
            moments = {f"{name} of parameter {at}": value for name, value in state.items() if isinstance(value, Tensor)}
            check_values(moments, str(path))
            if any(value.ndim and value.shape != parameter.shape for value in moments.values()):
                raise InputError(f"{path}: its optimiser's state is another network's; give another --out")

    def _load(self, stored: Checkpoint) -> None:
        self.network.load_state_dict(stored.model)
        names = [name for name, _ in self.network.named_parameters()]
        if stored.stage in ("", self._span.stage.name):  # else the next stage begins, as it does without a break
            for active in self._updates:
                state = stored.optimiser if active is self._updates[0] else stored.further[active.update.method]
                load_optimiser(active.optimiser, state, names)
        if stored.scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(dict(stored.scaler))
        if self._config.ema:
            self._ema = {name: value.to(self._group.device) for name, value in stored.ema.items()}
        self.position = stored.position
        if stored.rng is not None:
            torch.set_rng_state(stored.rng)
        if stored.gpu_rng is not None:
            set_gpu_rng_state(self._group.device, stored.gpu_rng)
