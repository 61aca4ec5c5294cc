"""A network that learns: optimiser, precision, clipping and the moving average, and what of it a checkpoint holds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rssn.errors import InputError, RssnError, first_line
from rssn.weights import check_values
from train.batch import Batch
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.device import gpu_rng_state, set_gpu_rng_state
from train.distributed import Group
from train.losses import gfm_losses
from train.network.gfm import seeded_gfm
from train.schedule import learning_rate


class NonFiniteLoss(RssnError):
    """Training diverged; the message names the step, the terms and the samples."""


class Learner:
    """A network and its optimiser.

    Args:
        config: The run's settings.
        group: The processes that train it together.
        stored: What to go on from; the start where None.
    """

    def __init__(self, config: TrainConfig, group: Group, stored: Checkpoint | None = None) -> None:
        self._config = config
        self._group = group
        weights = None if stored else config.weights
        torch.backends.cudnn.deterministic = True
        torch.manual_seed(config.seed)
        self.network = seeded_gfm(config.backbone, config.rosta, config.seed, weights, config.ablations)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network.to(group.device, memory_format=layout).train()  # type: ignore[call-overload]
        self.optimiser = _optimiser(config, self.network)
        self.step = 0
        self._average: dict[str, Tensor] = {}
        if stored:
            self._restore(stored)
        elif config.ema:
            self._average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        wrapped = group.wrap(self.network)
        self._forward: nn.Module = torch.compile(wrapped) if config.compile else wrapped  # type: ignore[assignment]

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser; a loss or gradient that is not finite changes nothing.

        Returns:
            The terms of the loss, means over the processes.

        Raises:
            NonFiniteLoss: If the loss or its gradient is not finite in any process.
        """
        batch = batch.to(self._group.device)
        losses = self._losses(batch)
        names, values = list(losses), torch.stack([value.detach() for value in losses.values()])
        found = dict(zip(names, self._group.mean(values).tolist(), strict=True))
        terms = ", ".join(f"{name} {value:g}" for name, value in found.items())
        self._check(found["total"], f"the loss is not finite ({terms})", batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["total"])
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._config.clip or math.inf)
        self._check(float(norm), f"the loss is finite ({terms}), its gradient is not", batch)
        for each in self.optimiser.param_groups:
            each["lr"] = learning_rate(self._config, self.step)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return found

    def state(self, data_digest: str) -> Checkpoint:
        """What a checkpoint of this step holds."""
        return Checkpoint(
            step=self.step,
            config=self._config.to_plain(),
            model=self.network.state_dict(),
            data_digest=data_digest,
            optimiser=self.optimiser.state_dict(),
            ema=self._average,
            position=self.step * self._config.step_size,
            rng=torch.get_rng_state(),
            gpu_rng=gpu_rng_state(self._group.device),
        )

    def _check(self, value: float, problem: str, batch: Batch) -> None:
        if not math.isfinite(value):
            names = ", ".join(self._group.everyone(batch.sample_ids))
            raise NonFiniteLoss(
                f"step {self.step + 1}: {problem}; samples: {names}; look at them with `rssn "
                f"inspect`, or lower --learning-rate; {self._config.out / 'last.pt'} is from before"
            )

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        image = batch.image
        if self._config.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        half = self._config.precision == "bf16"
        with torch.autocast(self._group.device.type, dtype=torch.bfloat16, enabled=half):
            prediction = self._forward(image)
        count = self._group.mean(batch.transition.sum())
        return gfm_losses(prediction, batch, self._config.losses, count)

    def _follow(self) -> None:
        """Move the average towards the weights; what is no float (batch counters) is taken over.

        The decay comes up from 0.1, or the random weights of the start would count for as long as the average looks
        back: with a decay of 0.999 they are half of it after 693 steps.
        """
        decay = min(self._config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items() if self._average else ():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1.0 - decay)
            else:
                self._average[name].copy_(value)

    def _restore(self, stored: Checkpoint) -> None:
        path = self._config.out / "last.pt"
        try:
            self._take_up(stored)
        except Exception as error:  # torch raises whatever a foreign state makes it raise
            raise InputError(f"{path}: does not go on with these settings: {first_line(error)}") from error
        for at, (parameter, state) in enumerate(self.optimiser.state.items()):
            moments = {f"{name} of parameter {at}": value for name, value in state.items() if isinstance(value, Tensor)}
            check_values(moments, str(path))
            if any(value.ndim and value.shape != parameter.shape for value in moments.values()):
                raise InputError(f"{path}: its optimiser's state is another network's; give another --out")

    def _take_up(self, stored: Checkpoint) -> None:
        self.network.load_state_dict(stored.model)
        self.optimiser.load_state_dict(dict(stored.optimiser))
        self._average = {name: value.to(self._group.device) for name, value in stored.ema.items()}
        self.step = stored.step
        if stored.rng is not None:
            torch.set_rng_state(stored.rng)
        if stored.gpu_rng is not None:
            set_gpu_rng_state(self._group.device, stored.gpu_rng)


def _optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Weights decay; biases and the scales of norms, which have one dimension, do not."""
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    parameters = list(network.parameters())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return kind(groups, lr=config.learning_rate)
