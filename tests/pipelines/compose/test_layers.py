from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import pipelines.compose.layers as layers_module
from bg20k.rules import CurationRules
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import ForegroundLayers, LayerContext, UnusableBackground, worker_memory
from pipelines.compose.naming import name_foregrounds
from pipelines.compose.plan import PlannedForeground
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.clock import StageClock
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.errors import Rejected
from rssn.image.arrays import Image, encode_jpeg, encode_png, to_float
from rssn.image.decoding import background_pixels, decode_pixels
from rssn.route import denoise as denoise_module
from rssn.route.denoise import denoise
from rssn.route.draw import Draw
from rssn.route.foreground import estimate_foreground
from rssn.route.noise_level import estimate_sigma
from rssn.route.recipe import Recipe
from rssn.route.step import Step, Values
from rssn.route.steps.denoise import Denoise
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import load_pair
from rssn.storage.location import BucketPath
from rssn.storage.settings import settings
from tests.bucket import Store
from tests.pipelines.composing import files

RECIPE = Recipe("test", steps=(Denoise(sigma=12, backend="nlmeans"),))
PLAIN = Draw(0, 0.0, 0.0, {"denoise": None})
DENOISED = replace(PLAIN, steps={"denoise": {"backend": "nlmeans"}})


@pytest.fixture
def context(tmp_path: Path) -> LayerContext:
    return LayerContext(RECIPE, "jpeg", LayerCache(tmp_path / "cache", 1 << 30), StageClock())


@pytest.fixture
def planned(synthetic: Path) -> PlannedForeground:
    return name_foregrounds(find_pairs(synthetic / "matting").pairs, "levin")[0][0]


def test_layers_are_what_the_kernels_give(planned: PlannedForeground, context: LayerContext) -> None:
    sample = load_pair(planned.pair)
    expected = estimate_foreground(sample.picture, sample.alpha)[0]
    layers = ForegroundLayers(planned, context)
    assert np.array_equal(layers.layer(), expected)
    assert np.array_equal(layers.layer(layers.steps(DENOISED)), denoise(expected, 12 / 255, "nlmeans"))


@pytest.mark.slow
def test_a_background_in_a_bucket_is_fetched_once(
    bg20k: Path, context: LayerContext, s3: Store, bucket: str, tmp_path: Path
) -> None:
    for name, data in files(bg20k).items():
        s3.put(f"{bucket}/{name}", data)
    here, there = (find_backgrounds(root)[0][0] for root in (bg20k, BucketPath(bucket)))
    s3.asked.clear()
    expected = context.background(here, PLAIN).pixels
    for _ in range(3):
        assert np.array_equal(context.background(there, PLAIN).pixels, expected)
    shard = there.picture.location.name
    assert (s3.asked[f"HEAD {shard}"] <= 3, 0 < s3.asked[f"GET {shard}"] <= 3) == (True, True)


def test_each_layer_is_made_once_and_only_when_asked_for(
    planned: PlannedForeground, context: LayerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def count(module: object, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: (calls.append(name), real(*arguments))[1])

    count(layers_module, "estimate_layers")
    count(denoise_module, "denoise")
    layers = ForegroundLayers(planned, context)
    assert calls == []
    for _ in range(3):
        layers.layer()
    assert calls == ["estimate_layers"]
    for _ in range(3):
        layers.layer(layers.steps(DENOISED))
        layers.encoded(layers.steps(DENOISED))
    assert calls == ["estimate_layers", "denoise"]
    again = ForegroundLayers(planned, replace(context, clock=StageClock()))
    again.layer(again.steps(DENOISED))
    assert calls == ["estimate_layers", "denoise"], "the cache holds both for the next run"
    assert set(again._context.clock.seconds) == {"cache"}


def test_a_failure_is_remembered(planned: PlannedForeground, context: LayerContext) -> None:
    layers = ForegroundLayers(replace(planned, foreground_id="another"), context)
    with pytest.raises(Rejected, match="changed") as first:
        layers.layer()
    with pytest.raises(Rejected) as second:
        layers.layer(layers.steps(DENOISED))
    assert second.value is first.value


def test_a_failed_denoiser_does_not_refuse_what_needs_none(
    planned: PlannedForeground, context: LayerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(denoise_module, "denoise", fail)
    layers = ForegroundLayers(planned, context)
    for _ in range(2):
        with pytest.raises(MemoryError):
            layers.layer(layers.steps(DENOISED))
        assert layers.layer().shape == (*layers.alpha.shape, 3)


def test_backgrounds_are_denoised_at_their_own_size(bg20k: Path, context: LayerContext) -> None:
    background = find_backgrounds(bg20k)[0][0]
    raw = to_float(decode_pixels(background_bytes(background)))
    assert np.array_equal(context.background(background, PLAIN).pixels, raw)
    assert np.array_equal(context.background(background, DENOISED).pixels, denoise(raw, 12 / 255, "nlmeans"))


def test_a_background_is_decoded_once_for_all_draws(
    bg20k: Path, context: LayerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    background, decoded = find_backgrounds(bg20k)[0][0], []
    real = background_pixels
    monkeypatch.setattr(layers_module, "background_pixels", lambda header: (decoded.append(1), real(header))[1])
    for another in (context, replace(context, clock=StageClock())):
        for drawn in (PLAIN, DENOISED, PLAIN):
            another.background(background, drawn)
    assert decoded == [1]


def test_an_automatic_strength_is_that_of_each_photograph(
    planned: PlannedForeground, bg20k: Path, context: LayerContext
) -> None:
    auto = replace(context, recipe=replace(RECIPE, steps=(Denoise(sigma="auto", backend="nlmeans"),)))
    sample, background = load_pair(planned.pair), find_backgrounds(bg20k)[0][0]
    raw = to_float(decode_pixels(background_bytes(background)))
    of_f, of_b = estimate_sigma(sample.picture), estimate_sigma(raw)
    assert of_f != of_b
    layers = ForegroundLayers(planned, auto)
    (step,) = layers.steps(DENOISED)
    assert step.values["sigma"] == pytest.approx(255 * of_f)
    assert np.array_equal(layers.layer(layers.steps(DENOISED)), denoise(layers.layer(), of_f, "nlmeans"))
    whole = auto.background(background, DENOISED)
    assert whole.steps[0].values["sigma"] == pytest.approx(255 * of_b)
    assert np.array_equal(whole.pixels, denoise(raw, of_b, "nlmeans"))
    assert auto.background(background, PLAIN).steps == ()


@pytest.mark.slow
def test_two_curations_of_one_photograph_are_two_layers(synthetic: Path, tmp_path: Path, context: LayerContext) -> None:
    """Both bear the id of the source; the cache must not take one for the other."""
    sides = {}
    for side in (100, 120):
        out = tmp_path / str(side)
        run_curation(
            CurationJob(synthetic / "photos", out, CurationRules(min_side=side), None, ErrorBudget()), LocalRunner()
        )
        first = find_backgrounds(out)[0][0]
        sides[side] = first.background_id, context.background(first, PLAIN).pixels.shape[:2]
        assert min(context.background(first, DENOISED).pixels.shape[:2]) == side
    assert sides[100][0] == sides[120][0]
    assert (min(sides[100][1]), min(sides[120][1])) == (100, 120)


def test_a_background_that_was_replaced_since_is_refused(tmp_path: Path, context: LayerContext) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    (tmp_path / "0.jpg").write_bytes(encode_jpeg(noise))
    (background,) = find_backgrounds(tmp_path)[0]
    (tmp_path / "0.jpg").write_bytes(encode_jpeg(noise[::-1]))
    for drawn in (PLAIN, DENOISED):
        with pytest.raises(Rejected, match=r"background 0\.jpg: .*not the picture that was planned") as error:
            context.background(background, drawn)
        assert (error.value.stage, error.value.reason) == ("background", "changed")


def test_a_broken_background_is_named_and_the_foreground_is_not_blamed(tmp_path: Path, context: LayerContext) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(noise + np.uint8(number)))
    cut = tmp_path / "1.jpg"
    cut.write_bytes(cut.read_bytes()[:5000])
    broken = next(b for b in find_backgrounds(tmp_path)[0] if b.source == "1.jpg")
    for drawn in (PLAIN, DENOISED):
        with pytest.raises(UnusableBackground, match="the picture data are damaged") as error:
            context.background(broken, drawn)
        assert (error.value.stage, error.value.reason) == ("background", "truncated")


def test_a_transparent_background_is_not_used(tmp_path: Path, context: LayerContext) -> None:
    pixels = np.full((90, 120, 4), 200, np.uint8)
    pixels[:9, :, 3] = 255
    (tmp_path / "0.png").write_bytes(encode_png(pixels))
    with pytest.raises(UnusableBackground, match=r"90\.0% of it is transparent"):
        context.background(find_backgrounds(tmp_path)[0][0], PLAIN)


def test_the_reference_denoiser_gets_more_memory() -> None:
    native, package, unused = (
        Recipe("test", steps=(step,))
        for step in (Denoise(), Denoise(backend="bm3d"), Denoise(probability=0, backend="bm3d"))
    )
    assert worker_memory(8_000_000, native) == (900 << 20) + 8_000_000 * 160
    assert worker_memory(8_000_000, package) == (900 << 20) + 8_000_000 * 1024
    assert worker_memory(8_000_000, unused) == worker_memory(8_000_000, native)


@settings
class _Gain(Step):
    """A step of the cache that reads its settings when it is applied."""

    name: ClassVar = "gain"
    acts_on: ClassVar = "foreground"
    stage: ClassVar = "source"
    reference: ClassVar = "this test"
    cached: ClassVar = True
    strength: float = 1.0

    def draw(self, dice: np.random.Generator) -> Values:
        return {}

    def apply(self, pixels: Image, values: Values) -> Image:
        return pixels * np.float32(self.strength)

    def describe(self, values: Values) -> str:
        return "gained"

    @property
    def cpu_seconds(self) -> float:
        return 0.0


def test_the_cache_tells_settings_apart(planned: PlannedForeground, context: LayerContext) -> None:
    made = []
    for strength in (0.5, 0.25):
        recipe = Recipe("test", steps=(_Gain(1.0, strength),))
        layers = ForegroundLayers(planned, replace(context, recipe=recipe))
        steps = layers.steps(replace(PLAIN, steps={"gain": {}}))
        assert np.array_equal(layers.layer(steps), layers.layer() * np.float32(strength))
        made.append(layers.layer(steps))
    assert not np.array_equal(*made)


def test_a_background_is_measured_once(bg20k: Path, context: LayerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    monkeypatch.setattr("rssn.route.steps.denoise.estimate_sigma", lambda _: measured.append(1) or 0.01)
    auto = replace(context, recipe=replace(RECIPE, steps=(Denoise(sigma="auto", backend="nlmeans"),)))
    for _ in range(3):
        auto.background(find_backgrounds(bg20k)[0][0], DENOISED)
    assert measured == [1]
