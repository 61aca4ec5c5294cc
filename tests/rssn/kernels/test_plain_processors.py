"""The same kernels on a processor without wide vectors: numba is told that there are none, and compiles them anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

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


WIDTH = f"""
import sys
import numpy as np
from numba.core.registry import cpu_target
from rssn.kernels import intrinsics
from rssn.kernels.bm3d.native import bm3d

_, _, features = cpu_target.target_context.codegen().magic_tuple()
intrinsics._REGISTERS = ((features.split(",")[0], int(sys.argv[3])),)
assert intrinsics._lanes_of_register(features) == int(sys.argv[3])
np.save(sys.argv[2], bm3d(np.load(sys.argv[1]), {SIGMA}))
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
    assert np.array_equal(made["foreground"], solve(clean, alpha, EPSILON).foreground)
    assert np.array_equal(made["curves"], [to_linear(noisy), to_srgb(noisy)])


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [8, 16])
def test_registers_of_any_width_give_the_same_picture(lanes: int, tmp_path: Path) -> None:
    """Also those that this processor lacks: LLVM then takes two for one."""
    rng = np.random.default_rng(4)
    noisy = np.clip(0.5 + rng.normal(0, SIGMA, (77, 210, 3)), 0, 1).astype(np.float32)
    np.save(tmp_path / "given.npy", noisy)
    command = [sys.executable, "-c", WIDTH, str(tmp_path / "given.npy"), str(tmp_path / "made.npy"), str(lanes)]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}  # what is compiled so is nobody else's
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "made.npy") - bm3d(noisy, SIGMA)).max() <= 0.05 / 255
