"""The options of `train run`: one for each setting of `TrainConfig`, and those that choose where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import partial, wraps
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from train.commands.effect import Idle, refuse_given, without
from train.commands.options import FILE, FOLDER, ROSTAS, WEIGHTS_FILE, NamedFolder, NamedWeights
from train.config import Origin, TrainConfig, parse_loss_weights
from train.metrics.paper import METRICS
from train.network.backbones import BACKBONES, LIBRARIES
from train.network.networks import NETWORKS, OPTIONAL, network_named
from train.presets import PRESETS
from train.validation_sets import validation_sets

_HELP: Mapping[str, str] = {
    "data": "Shards of `rssn compose` or `rssn pack`: a folder, or a URL such as s3://bucket/shards. May be repeated.",
    "out": "Folder of the run, or s3://... for a bucket; a run that was stopped there is resumed.",
    "override": "Resume the run in --out although its settings or data have changed; each change is listed.",
    "mixture": "Share of the samples from each --data, in their order.  [default: each row once an epoch]",
    "crop_sizes": "Side of the square crops, px; repeat it for several.",
    "input_size": "Side that crops are resized to, px.",
    "workers": "Processes that prepare samples; 0: none.",
    "keep_decoded": "Memory for decoded pictures that later epochs use again, MB, of all --workers together; what came "
    "first is kept. A composite of 1.75 megapixels takes about 22.",
    "network": f"What is trained: {', '.join(f'{row.name} ({row.what})' for row in NETWORKS.values())}. Each has "
    "defaults of its own for the options below.",
    "backbone": f"The encoder: {', '.join(BACKBONES)}, or {' or '.join(f'{name}:MODEL' for name in LIBRARIES)}.",
    "rosta": "What the glance decoder learns: trimap, foreground or background (section 3.4).",
    "ablations": "Leave out a part, as section 5.5 does: one decoder, no pyramid pooling, no bridge block.",
    "weights": "ImageNet weights for the encoder: a file, or package:NAME for those that an installed package brings.",
    "part_weights": "PART=FILE: weights for a further encoder of the network, as --weights; repeat it for several.",
    "width": "Factor of the channels beside the encoder, for small networks.",
    "init": "Start from a trained network, as far as it fits: last.pt of any run, or a checkpoint that the authors "
    "released.",
    "freeze": "Keep the encoder, or all norms with their statistics as --init or --weights gave them.",
    "freeze_stages": "Keep the first stages of the encoder as --weights or --init gave them, norms included; cheaper, "
    "as nothing is computed backwards there. Of SHM T-Net's.",
    "max_steps": "Stop after so many steps, earlier ones included.",
    "batch_size": "Samples that each process computes with at once. The paper: 32 for r34, 4 for d121.",
    "accumulate": "Batches to a step: 8 of 4 have the losses of one of 32, in an eighth of the memory.",
    "optimiser": "AdamW decouples the weight decay from the gradient; SGD has momentum 0.9.",
    "learning_rate": "The highest of the schedule. The paper: 1e-5 for composites, 1e-4 for photographs, constant.",
    "encoder_rate": "Factor of the learning rate for the encoder, such as 0.1 in fine-tuning.",
    "schedule": "The learning rate stays constant, or falls to 0 by half a cosine or, with poly, almost in a line.",
    "warm_up": "Steps in which the rate rises.  [default: with cosine a tenth of all, at most 50]",
    "weight_decay": "Of weights, not of norms and biases.",
    "clip": "Norm to which gradients are clipped; 0: they are not.",
    "ema": "Decay of the weights' moving average, such as 0.999; 0: none is kept.",
    "losses": "NAME=NUMBER: factor of the weight that a term of the loss has; composition=0 spares F and B.",
    "precision": "bf16, fp16: the network runs under autocast, with fp16 the loss is scaled; losses stay in fp32.",
    "channels_last": "Store features in the channels-last layout; faster on GPUs.",
    "compile": "Compile the network with torch.compile.",
    "seed": "Of initial weights, sample order and crops.",
    "checkpoint_every": "Steps between checkpoints.",
    "keep": "Older checkpoints to keep beside last.pt.",
    "validation": "Photographs with mattes, or shards, to validate on; repeat it for several sets. Write ./a=b for a "
    "folder of that name.",
    "validate_every": "Steps between validations; there is one after the last step, too.",
    "best_by": "What chooses best.pt: a metric of the first --validation, or SET/METRIC. Metrics: "
    f"{', '.join(METRICS)}.",
    "patience": "Stop after so many validations without a better one; 0: never. While a cosine's rate is still high, "
    "figures may well get better later: be patient, or take a constant rate.",
    "validation_side": "Larger photographs are shrunk for validation, px; 0: they are not.  [default: as in training]",
    "validation_hybrid": "As --hybrid of `train eval`; in the paper 1/3 1/2.",
    "tensorboard": "Also write event files for TensorBoard, with the first photographs of each --validation.",
}
"""What `--help` says of each setting, in its order."""

_TYPES: Mapping[str, dict[str, Any]] = {
    "out": {"type": FOLDER},
    "network": {"type": click.Choice(list(NETWORKS), case_sensitive=False), "is_eager": True},
    "rosta": {"type": ROSTAS},
    "weights": {"type": WEIGHTS_FILE},
    "init": {"type": FILE},
    "part_weights": {"type": NamedWeights(dir_okay=False), "metavar": "PART=FILE"},
    "losses": {"type": str, "multiple": True, "default": ()},
    "validation": {"type": NamedFolder(file_okay=False), "metavar": "[NAME=]FOLDER"},
    "validation_hybrid": {"nargs": 2, "multiple": False, "metavar": "D1 D2"},
}
"""Where the option's type does not follow from the setting's."""


def _is_idle_loss(term: str, given: Mapping[str, Any]) -> bool:
    return "single" in given["ablations"] and any(text.partition("=")[0] == term for text in given["losses"])


def _is_unused(name: str, given: Mapping[str, Any]) -> bool:
    return name not in network_named(given["network"]).takes


_IDLE = (
    *(
        Idle(
            "--preset" if name == "preset" else TrainConfig.key_name(name),
            partial(_is_unused, name),
            "this --network has no use for it; leave it out",
        )
        for name in OPTIONAL
    ),
    Idle("--validate-every", without("validation"), "there is nothing to validate on; give --validation"),
    Idle("--validation-side", without("validation"), "there is nothing to validate on; give --validation"),
    Idle("--validation-hybrid", without("validation"), "there is nothing to validate on; give --validation"),
    Idle("--alpha-scale", without("validation"), "it is for the mattes of --validation; give --validation"),
    Idle("--best-by", without("validation"), "there is nothing to validate on; give --validation"),
    Idle("--patience", without("validation"), "there is nothing to validate on; give --validation"),
    Idle("--weights", lambda given: given["init"], "--init brings the whole network; leave one of them out"),
    Idle("--encoder-rate", lambda given: "encoder" in given["freeze"], "--freeze encoder leaves it nothing to learn"),
    Idle("--freeze-stages", lambda given: "encoder" in given["freeze"], "--freeze encoder keeps all of them"),
    Idle("--mix", lambda given: len(given["data"]) == 1, "there is one --data, so nothing is mixed; leave it out"),
    *(
        Idle("--loss-weight", partial(_is_idle_loss, term), f"--ablation single has no {term}; leave it out")
        for term in ("cross_entropy", "focus_alpha", "focus_laplacian")
    ),
)
"""Where options of `train run` do nothing."""


@dataclass(frozen=True)
class RunOptions:
    """What `train run` was asked for."""

    config: TrainConfig
    preset: str | None
    ray_workers: int | None  # None: no Ray; the world size is that of `torchrun`


def run_options(command: Callable[[RunOptions], None]) -> Callable[..., None]:
    """Give a command the options of `train run`, and call it with what they mean."""

    @wraps(command)
    def parsed(**given: Any) -> None:
        command(read_options(given))

    settings = {each.name: each for each in fields(TrainConfig)}
    taking: Callable[..., None] = parsed
    for add in reversed([*(_option(settings[name]) for name in _HELP), *_OTHERS]):  # click lists the last first
        taking = add(taking)
    return taking


def read_options(given: Mapping[str, Any]) -> RunOptions:
    """What the values of a command's parameters mean.

    Raises:
        InputError: If an option that was given does nothing, or a value is not valid.
    """
    for rule in _IDLE:
        if rule.where(given):
            refuse_given(rule.option, rule.words)
    settings = {name: value for name, value in given.items() if name not in ("preset", "ray_workers")}
    return RunOptions(_config(settings), given["preset"], given["ray_workers"])


def _option(setting: Field[Any]) -> Callable[..., Any]:
    """The option of a setting: its type, choices and default are the setting's."""
    attributes: dict[str, Any] = {"help": _HELP[setting.name], **_attributes(_HINTS[setting.name])}
    if setting.default is not MISSING:
        attributes["default"] = setting.default
    else:
        attributes["required"] = setting.default_factory is MISSING
    if setting.name == "network":
        attributes["callback"] = _apply_network
    return click.option(TrainConfig.key_name(setting.name), setting.name, **attributes | _TYPES.get(setting.name, {}))


_HINTS = get_type_hints(TrainConfig)


def _attributes(hint: Any) -> dict[str, Any]:
    """How click takes a type: text, numbers, flags, choices, and several of them."""
    parts = [each for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if hint is bool:
        return {"is_flag": True}
    if get_origin(hint) is Literal:
        return {"type": click.Choice(parts, case_sensitive=False)}
    if get_origin(hint) is tuple:
        return {**_attributes(parts[0]), "multiple": True}
    return _attributes(parts[0]) if parts else {"type": hint}


def _config(given: Mapping[str, Any]) -> TrainConfig:
    init, words = given["init"], given["validation"]
    sets = validation_sets(words, given["alpha_scales"])
    made = {
        "losses": parse_loss_weights(given["losses"]),
        "init": Origin.of(init) if init else None,
        "validation": sets,
    }
    return TrainConfig(**{name: value for name, value in given.items() if name != "alpha_scales"} | made)


def _apply_preset(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Its values become the defaults of the other options, which are read after it."""
    if name:
        context.default_map = {**(context.default_map or {}), **PRESETS[name].values}
    return name


def _apply_network(context: click.Context, _: click.Parameter, name: str) -> str:
    """As a preset does."""
    context.default_map = {**(context.default_map or {}), **network_named(name).defaults}
    return name


_OTHERS = (
    click.option(
        "--alpha-scale",
        "alpha_scales",
        multiple=True,
        metavar="[NAME=]NUMBER",
        help="The value that means opaque in every matte of --validation, such as 1 or 255; NAME=NUMBER: of one set.  "
        "[default: by the values of each]",
    ),
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        is_eager=True,
        callback=_apply_preset,
        help="The paper's settings for composites or photographs, with its epochs and batch size; options that are "
        "given override them.",
    ),
    click.option(
        "--ray-workers",
        type=click.IntRange(1),
        help="Train with so many workers of the Ray at RAY_ADDRESS, or of a Ray that is started here.",
    ),
)
