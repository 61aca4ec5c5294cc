"""The same kernels on a processor without wide vectors: numba is told that there are none, and compiles them anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from rssn.kernels.bm3d.native import bm3d
from rssn.kernels.closed_form.native import solve
from rssn.route.transfer import to_linear, to_srgb
from tests.conftest import PlainKernels

SIGMA, EPSILON = 10 / 255, 1e-5

PLAIN = f"""
import sys
import numba
import numpy as np
from rssn.kernels.bm3d.native import bm3d
from rssn.kernels.closed_form.native import solve
from rssn.route.transfer import to_linear, to_srgb

assert numba.config.CPU_NAME == "generic" and not numba.config.CPU_FEATURES
given = np.load(sys.argv[1])
layers = solve(given["clean"], given["alpha"], {EPSILON})
curves = np.stack([to_linear(given["noisy"]), to_srgb(given["noisy"])])
np.savez(sys.argv[2], denoised=bm3d(given["noisy"], {SIGMA}), foreground=layers.foreground, curves=curves)
"""


def test_they_give_the_same_pictures(plain_kernels: PlainKernels, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = cv2.GaussianBlur(rng.random((96, 120, 3), dtype=np.float32), (0, 0), 3)
    clean = np.asarray(cv2.normalize(clean, None, 0.1, 0.9, cv2.NORM_MINMAX), dtype=np.float32)
    noisy = np.clip(clean + rng.normal(0, SIGMA, clean.shape), 0, 1).astype(np.float32)
    disc = np.hypot(*np.mgrid[-48:48, -60:60])
    alpha = np.clip((30 - disc) / 6, 0, 1).astype(np.float32)
    np.savez(tmp_path / "given.npz", clean=clean, noisy=noisy, alpha=alpha)
    command = [sys.executable, "-c", PLAIN, str(tmp_path / "given.npz"), str(tmp_path / "made.npz")]
    environment = os.environ | plain_kernels.environment
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "made.npz")
    assert np.abs(made["denoised"] - bm3d(noisy, SIGMA)).max() <= 0.05 / 255
    assert np.abs(made["foreground"] - solve(clean, alpha, EPSILON).foreground).max() <= 0.05 / 255
    assert np.array_equal(made["curves"], [to_linear(noisy), to_srgb(noisy)])
