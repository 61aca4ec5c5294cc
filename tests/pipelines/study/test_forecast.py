from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.compose.dry_run import cost
from pipelines.executor.runner import Capacity
from pipelines.study.forecast import forecast
from pipelines.study.steps import Plan, Result, Step


def training(number: int, **options: Any) -> Step:
    given: dict[str, Any] = {"max-steps": 60_000} | {name.replace("_", "-"): value for name, value in options.items()}
    inputs = {"data": ("shards",), "backbone": given.pop("backbone", "tiny"), "rosta": "TT", "seed": number}
    return Step("train", f"row-{number}", inputs, given)


def finish(step: Step, root: Path, seconds: float) -> None:
    step.folder(root).mkdir(parents=True)
    step.mark(root).write_text(json.dumps({"key": step.key, "seconds": seconds}))


def test_a_step_takes_as_long_as_the_like_of_it_took(tmp_path: Path) -> None:
    data = Step("crops", "set", {"curated": "curated"})
    steps = [training(0), training(1), training(2, max_steps=120_000), training(3, input_size=640)]
    plan = Plan([data, *steps, training(4, backbone="r34")], [])
    first = forecast(plan, tmp_path, lambda tasks: Capacity(2, min(2, tasks), 1))
    assert first[0] == "to do          ?  crops-set  (nothing like it is done yet)"
    assert first[-1] == (
        "0 of 6 steps done; about 0.0 min for the others and what 6 take of which nothing is known yet, "
        "with 2 workers, 2 networks at a time"
    )
    finish(steps[0], tmp_path, 1200.0)
    assert forecast(plan, tmp_path, lambda tasks: Capacity(2, min(2, tasks), 1))[1:] == [
        "done    20.0 min  train-row-0",
        "to do   20.0 min  train-row-1  (by the 1 done here)",
        "to do   40.0 min  train-row-2  (by the 1 done here)",
        "to do      1.3 h  train-row-3  (by the 1 done here)",
        "to do          ?  train-row-4  (nothing like it is done yet)",
        "1 of 6 steps done; about 1.7 h for the others and what 2 take of which nothing is known yet, "
        "with 2 workers, 2 networks at a time",
    ]
    on_one_gpu = forecast(plan, tmp_path, lambda _: Capacity(16, 1, 1))
    assert "about 2.3 h for the others" in on_one_gpu[-1]
    assert "with 16 workers, 1 network at a time" in on_one_gpu[-1]


def test_steps_that_are_as_many_as_the_slots_take_as_long_as_one(tmp_path: Path) -> None:
    plan = Plan([training(number) for number in range(7)], [])
    finish(plan.steps[0], tmp_path, 3600.0)
    lines = forecast(plan, tmp_path, lambda tasks: Capacity(64, min(64, tasks), 64 // tasks))
    assert lines[-1] == "1 of 7 steps done; about 1.0 h for the others, with 64 workers, 6 networks at a time"
    lines = forecast(plan, tmp_path, lambda _: Capacity(64, 4, 16))
    assert lines[-1] == "1 of 7 steps done; about 2.0 h for the others, with 64 workers, 4 networks at a time"


def test_a_composition_says_itself_what_it_costs_once_its_inputs_are_there(synthetic: Path, tmp_path: Path) -> None:
    curated = Step("curate", "set", {"photos": str(synthetic / "photos")})
    inputs = {"matting": str(synthetic / "matting"), "backgrounds": Result(curated), "recipe": "comp-bg20k"}
    compose = Step("compose", "row", inputs, {"k": 2})
    line = forecast(Plan([compose], []), tmp_path, lambda _: Capacity(2, 1, 1))[0]
    assert line == "to do          ?  compose-row  (nothing like it is done yet)"
    compose = Step("compose", "row", inputs | {"backgrounds": str(synthetic / "photos")}, {"k": 2})
    seconds = cost(compose.settings(tmp_path).job())
    assert seconds > 0
    line = forecast(Plan([compose], []), tmp_path, lambda _: Capacity(2, 1, 1))[0]
    words = f"({seconds / 60:.1f} CPU-minutes by its own dry run)"
    assert line == f"to do  {f'{seconds / 120:.1f} min':>9}  compose-row  {words}"
