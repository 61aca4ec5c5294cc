"""Denoising of both layers (Pipeline 1, lines 12 to 15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from rssn.image.arrays import Image
from rssn.route import denoise
from rssn.route.denoise import DenoiseBackend
from rssn.route.noise_level import estimate_sigma
from rssn.route.step import Stage, Step, Values
from rssn.storage.settings import settings

_CPU_SECONDS: dict[DenoiseBackend, float] = {"native": 1.2, "bm3d": 95.0, "nlmeans": 5.0}


@settings
class Denoise(Step):
    """BM3D on both layers at their own size, one coin for the two."""

    sigma: Annotated[float, Field(ge=0, le=255, description="8-bit units, or auto")] | Literal["auto"] = 10.0
    backend: DenoiseBackend = "native"

    name: ClassVar[str] = "denoise"
    acts_on: ClassVar[Literal["layers"]] = "layers"
    stage: ClassVar[Stage] = "source"
    reference: ClassVar[str] = "section 4.3; the paper names BM3D but no strength"
    columns: ClassVar = {"backend": pa.string()}
    measured: ClassVar = {"sigma": pa.float64()}  # 8-bit units; another one for each layer only where it is auto
    cached: ClassVar[bool] = True

    def draw(self, dice: np.random.Generator) -> Values:
        """Nothing is left to chance but whether it is drawn."""
        return {"backend": self.backend}

    def measure(self, photograph: Callable[[], Image]) -> Values:
        """The strength: the recipe's, or as much noise as the photograph has, to a tenth of an 8-bit step."""
        if self.sigma != "auto":
            return {"sigma": float(self.sigma)}
        return {"sigma": round(2550.0 * estimate_sigma(photograph())) / 10.0}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `rssn.route.denoise.denoise`."""
        return denoise.denoise(pixels, values["sigma"] / 255.0, values["backend"])

    def describe(self, values: Values) -> str:
        """Backend and strength."""
        sigmas = dict.fromkeys(
            f"{value:g}" for name, value in values.items() if name.endswith("sigma") and value is not None
        )
        return f"{values['backend']}, sigma {' and '.join(sigmas)}" if sigmas else str(values["backend"])

    @property
    def cpu_seconds(self) -> float:
        """Rounded up from a machine with AVX-512 (`make bench`)."""
        return _CPU_SECONDS[self.backend]

    @property
    def bytes_per_pixel(self) -> int:
        """The package `bm3d` needs 1 kB for each pixel."""
        return 1024 if self.backend == "bm3d" else super().bytes_per_pixel

    def versions(self) -> str:
        """Of the backend's packages."""
        return denoise.backend_version(self.backend)

    def warm_up(self) -> None:
        """Compile the kernels."""
        denoise.warm_up(self.backend)
