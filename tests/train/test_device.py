from __future__ import annotations

import pytest
import torch

from rssn.storage.machine import available_cpus
from train.commands.options import use_all_cpus
from train.device import gpu_rng_state, set_gpu_rng_state


def test_threads_are_all_or_as_many_as_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (("3", 3), ("2,1", 2), ("", available_cpus()), ("many", available_cpus())):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        use_all_cpus()
        assert torch.get_num_threads() == expected


def test_a_gpus_random_numbers_are_stored_and_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch's two functions replaced: no GPU here. The next test runs where there is one."""
    states = {1: torch.arange(16, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device.index].clone())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device.index: state}))
    device = torch.device("cuda", 1)
    stored = gpu_rng_state(device)
    states[1] = torch.zeros(16, dtype=torch.uint8)
    assert stored is not None
    set_gpu_rng_state(device, stored)
    assert torch.equal(states[1], torch.arange(16, dtype=torch.uint8))
    set_gpu_rng_state(torch.device("cpu"), torch.zeros(0))
    assert gpu_rng_state(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_again() -> None:
    device = torch.device("cuda", 0)
    stored = gpu_rng_state(device)
    first = torch.rand(4, device=device)
    assert stored is not None
    set_gpu_rng_state(device, stored)
    assert torch.equal(torch.rand(4, device=device), first)
