"""Where and with how many threads torch computes."""

from __future__ import annotations

import os

import cv2
import torch


def chosen_threads() -> int:
    """The threads that `OMP_NUM_THREADS` gives to this process; 0 where it says nothing."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(first) if first.isdigit() else 0


def best_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def limit_threads(threads: int) -> None:
    """Let torch and OpenCV use this many threads in this process."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def gpu_rng_state(device: torch.device) -> torch.Tensor | None:
    """The state of a GPU's random numbers, None on the CPU."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_gpu_rng_state(device: torch.device, state: torch.Tensor) -> None:
    """Restore a GPU's random numbers; a run that is resumed on a CPU has no use for them."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
