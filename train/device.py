"""Where and with how many threads torch computes."""

from __future__ import annotations

import os

import cv2
import torch


def available_cpus() -> int:
    """The processors that this process may use: no more than `OMP_NUM_THREADS` says, where it says something."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(found, int(asked)) if asked.isdecimal() and int(asked) else found


def best_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def limit_threads(threads: int) -> None:
    """Let torch and OpenCV use this many threads in this process."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
