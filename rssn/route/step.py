"""What a step of the route is: settings, what it draws, what it does to pixels, and how it says so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from inspect import getdoc
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import Field

from rssn.errors import InputError, Rejected
from rssn.image.arrays import Alpha, Image
from rssn.route.observed import Observed
from rssn.storage.settings import settings
from rssn.versions import version

Layer: TypeAlias = Literal["foreground", "background"]

Stage: TypeAlias = Literal["source", "placement", "frame", "composite"]
"""When a step is applied: to pictures at their own size, to F with its alpha before a background is fitted to them, to
layers of the composite's size, or to the composite."""

GROUP = "rssn.steps"
"""The entry points by which packages offer steps."""

STAGES: tuple[Stage, ...] = ("source", "placement", "frame", "composite")

ActsOn: TypeAlias = Literal["layers", "foreground", "background", "cut-out", "composite"]

Values: TypeAlias = Mapping[str, Any]
"""What a step drew or measured, by column; plain values of the step's Arrow types."""


class CutOut(NamedTuple):
    """F and its alpha, before a background is fitted to them."""

    foreground: Image  # H x W x 3
    alpha: Alpha  # H x W


@dataclass(frozen=True)
class Scene:
    """What lies in the frame before the blend; all of one height and width."""

    foreground: Image  # H x W x 3
    background: Image  # H x W x 3
    alpha: Alpha  # H x W


@settings
class Step(ABC):
    """One step of a recipe.

    A step is a class in a file of `rssn/route/steps`, or in a package that names it in its entry points under
    `rssn.steps`. Its fields are the settings that a recipe gives; the class variables say where it acts. Each sample
    rolls dice of its own for each step, so a step changes no other step's draws.
    """

    probability: Annotated[float, Field(ge=0, le=1, description="how often it is drawn")] = 0.5

    name: ClassVar[str]
    acts_on: ClassVar[ActsOn]
    stage: ClassVar[Stage]
    reference: ClassVar[str]
    """Where it comes from, such as a section of the paper."""
    columns: ClassVar[Mapping[str, pa.DataType]] = {}
    """What `draw` gives, as rows store it."""
    measured: ClassVar[Mapping[str, pa.DataType]] = {}
    """What `measure` gives of each layer; of steps at the stage `source` only."""
    cached: ClassVar[bool] = False
    """Whether its result takes long enough to be kept in the cache of layers; at the stage `source` only."""
    also_on_layers: ClassVar[bool] = False
    """Whether a step on the composite acts on the stored F and B in the same way, so that they still explain it."""
    takes_other: ClassVar[bool] = False
    """Whether a step at the stage `placement` takes another foreground of the data set, too."""
    searched: ClassVar[tuple[str, ...]] = ()
    """Numbers, or lists of them, that a fit to photographs may multiply."""

    @abstractmethod
    def draw(self, dice: np.random.Generator) -> Values:
        """Roll what `columns` names; the coin of `probability` was tossed before."""

    def measure(self, photograph: Callable[[], Image]) -> Values:
        """What `measured` names, of one layer.

        Args:
            photograph: Gives the picture that the layer comes from, H x W x 3 float32 in [0, 1]; asking takes time.
        """
        return {}

    def apply(self, pixels: Image, values: Values) -> Image:
        """A new picture of the same shape, H x W x 3 float32; every step has this method or one of the next two.

        Args:
            pixels: In [0, 1]; a composite may leave it by the noise that an earlier step added. Not to be changed.
            values: As drawn, with what was measured of this layer.
        """
        raise NotImplementedError

    def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
        """The layers after a step at the stage `frame`: by default, `apply` to each that it acts on.

        A step that has this method sees F, B and alpha together; alpha stays as it is.
        """
        return replace(scene, **{layer: self.apply(getattr(scene, layer), values) for layer in self.layers})

    def apply_to_cut_out(self, cut_out: CutOut, values: Values, others: Iterable[CutOut]) -> CutOut:
        """F and alpha after a step at the stage `placement`; their size may be another one, see `frame`.

        Args:
            cut_out: F and alpha. Not to be changed.
            values: As drawn.
            others: Other foregrounds of the data set at their own sizes, for a step that `takes_other`: each takes
                time, and the last one that it asks for is what the row names. There may be none.

        Raises:
            Rejected: If this foreground cannot be placed so.
        """
        raise NotImplementedError

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the composite after a step at the stage `placement`, from those before it, px."""
        return width, height

    @abstractmethod
    def describe(self, values: Values) -> str:
        """What was drawn, in a few words, such as `30 px`."""

    @property
    @abstractmethod
    def cpu_seconds(self) -> float:
        """About what it costs for a megapixel, for forecasts."""

    @property
    def bytes_per_pixel(self) -> int:
        """Memory to reserve for a worker."""
        return 160

    def fitted_to(self, observed: Observed) -> Step:
        """The step with the settings that can be read off photographs; by default as it is."""
        return self

    def variations(self) -> Iterator[Step]:
        """Its neighbours, which a search tries: another probability, and other values of the settings in `searched`.

        Values that the step refuses are left out.
        """
        for probability in (0.0, 0.25, 0.5, 0.75, 1.0):
            if probability != self.probability:
                yield replace(self, probability=probability)
        if self.probability == 0:
            return
        for name in self.searched:
            for factor in _FACTORS:
                with suppress(InputError):
                    other = replace(self, **{name: _scaled(getattr(self, name), factor)})
                    if other != self:
                        yield other

    def versions(self) -> str:
        """Of the packages that decide its values; by default, of the one that it is from.

        Raises:
            DependencyError: If one is not installed.
        """
        if type(self).__module__.startswith("rssn."):
            return f"rssn {version('rssn')}"
        return _packages(self.name)

    def warm_up(self) -> None:  # noqa: B027  (most have nothing to compile)
        """Compile what it needs before workers start."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that it acts on before the blend."""
        return _LAYERS[self.acts_on]

    @property
    def sees_scene(self) -> bool:
        """Whether it looks at F, B and alpha together."""
        return type(self).apply_to_scene is not Step.apply_to_scene

    @classmethod
    def summary(cls) -> str:
        """The first line of its docstring."""
        return (getdoc(cls) or "").partition("\n")[0]

    def struct(self) -> pa.StructType:
        """What a row stores of it: what was drawn, and what was measured of each layer under the layer's name.

        A step of neither has `drawn`, which is true: Parquet has no empty struct. One that takes another foreground
        has that one's id, source and licence.
        """
        kinds = {f"{layer}_{name}": kind for layer in self.layers for name, kind in self.measured.items()}
        other = dict.fromkeys(OTHER, pa.string()) if self.takes_other else {}
        return pa.struct(list({**self.columns, **kinds, **other}.items()) or [("drawn", pa.bool_())])


_FACTORS = (0.5, 0.7, 1.4, 2.0)


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return tuple(_scaled(one, factor) for one in value)
    return max(1, round(value * factor)) if isinstance(value, int) else round(value * factor, 3)


OTHER = ("other_id", "other_source", "other_licence")
"""What a row's struct says of the other foreground that a step took."""

_LAYERS: Mapping[ActsOn, tuple[Layer, ...]] = {
    "layers": ("foreground", "background"),
    "foreground": ("foreground",),
    "background": ("background",),
    "cut-out": ("foreground",),
    "composite": (),
}


@cache
def _packages(step: str) -> str:
    """The packages that offer a step; it names each cached layer, and to look takes milliseconds."""
    packages = [entry.dist for entry in entry_points(group=GROUP, name=step) if entry.dist]
    return ", ".join(f"{package.name} {package.version}" for package in packages)


@dataclass(frozen=True)
class Applied:
    """A step as one sample has it."""

    step: Step
    values: Values

    def __call__(self, pixels: Image) -> Image:
        """The picture after the step.

        Raises:
            Rejected: If the step makes something else of a picture than a picture of its size.
        """
        made = self.step.apply(pixels, self.values)
        self._check(made, pixels)
        return made

    def on_scene(self, scene: Scene) -> Scene:
        """The layers in the frame after the step; alpha as before.

        Raises:
            Rejected: As a call does.
        """
        made = self.step.apply_to_scene(scene, self.values)
        self._check(made.foreground, scene.foreground)
        self._check(made.background, scene.background)
        return replace(made, alpha=scene.alpha)

    def on_cut_out(self, cut_out: CutOut, others: Iterable[CutOut]) -> CutOut:
        """F and alpha after the step, of the size that it says.

        Raises:
            Rejected: As a call does, or if the foreground cannot be placed so.
        """
        made = self.step.apply_to_cut_out(cut_out, self.values, others)
        height, width = cut_out.alpha.shape
        width, height = self.step.frame(width, height)
        self._check(made.foreground, np.broadcast_to(np.float32(0), (height, width, 3)))
        self._check(made.alpha, np.broadcast_to(np.float32(0), (height, width)))
        return made

    def _check(self, made: Image, expected: Image) -> None:
        if made.shape != expected.shape or made.dtype != np.float32:
            words = f"{made.shape} {made.dtype} of {expected.shape} float32; mend the package that it is from"
            raise Rejected("compose", "broken_step", f"the step '{self.step.name}' makes {words}")

    def measured(self, photograph: Callable[[], Image]) -> Applied:
        """The step with what it measures of a layer, see `Step.measure`."""
        return Applied(self.step, {**self.values, **self.step.measure(photograph)})

    @property
    def words(self) -> str:
        """The step and what was drawn."""
        return f"{self.step.name}: {self.step.describe(self.values)}"
