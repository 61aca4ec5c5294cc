"""A review that learns: how many decisions until 99 of 100 photographs are right, against the fixed order.

python -m tests.benchmarks.bench_review DETECTOR FOLDER... [--cache FILE.json] [--crawls N]

FOLDER and --cache are those of `bench_salient`. A person who decides by the labels is simulated; the scores are those
of fits that were held out. Once on the photographs themselves, and on N crawls of 500 that are drawn from them, with
scores that are off by a normal deviate of 1 in log odds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bg20k.evidence import DETECTOR
from bg20k.learning import WRONG, Examples, Learnt, learn
from bg20k.objects import VIEWS
from bg20k.review import Choice, uncertainty
from bg20k.verdict import KEPT, SALIENT_OBJECT, Verdict
from bg20k.yolo import YoloDetector
from tests.benchmarks.bench_salient import EVIDENCE, RULES, Labelled, Problem, read_labelled

_CRAWL = 500
_NOISE = 1.0  # of the log odds


@dataclass(frozen=True)
class Simulated:
    """A crawl that is reviewed by its labels.

    Attributes:
        examples: What is learnt from.
        clean: n truth values: what a person keeps.
        kept: n truth values: what the curation keeps.
        ranks: The n rows, the least certain verdict first.
    """

    examples: Examples
    clean: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]
    ranks: list[int]

    @classmethod
    def of(cls, photos: Sequence[Labelled], scores: npt.NDArray[np.float64]) -> Simulated:
        """Of photographs with their object scores."""
        verdicts = [_verdict(score) for score in scores.tolist()]
        rows = [{"boxes": [box.to_box() for box in photo.boxes if box.view in VIEWS]} for photo in photos]
        examples = Examples.of(rows, verdicts, [False] * len(rows), RULES)
        ranks = sorted(range(len(rows)), key=lambda row: (-uncertainty(verdicts[row], RULES), row))
        clean = np.array([not photo.salient for photo in photos])
        return cls(examples, clean, np.array([verdict.keep for verdict in verdicts]), ranks)

    def fixed(self) -> list[int]:
        """How many are wrong after each number of decisions in the fixed order."""
        wrong = (self.kept != self.clean)[self.ranks]
        return [int(wrong[count:].sum()) for count in range(len(wrong) + 1)]

    def learning(self) -> Iterator[tuple[int, bool]]:
        """How many are wrong after each number of decisions, each about what is known least, and if that is enough."""
        decided: dict[int, Choice] = {}
        while True:
            found = learn(self.examples, decided)
            yield self._wrong(found, decided), found is not None and found.left == 0
            if len(decided) == len(self.clean):
                return
            row = next(row for row in self.ranks if row not in decided) if found is None else int(found.order[0])
            decided[row] = "keep" if self.clean[row] else "reject"

    def _wrong(self, found: Learnt | None, decided: dict[int, Choice]) -> int:
        said = self.kept if found is None else found.keep >= 0.5
        open_rows = np.isin(np.arange(len(self.clean)), list(decided), invert=True)
        return int((said != self.clean)[open_rows].sum())


def _verdict(score: float) -> Verdict:
    if score >= RULES.salient_limit:
        return Verdict(False, "salience", SALIENT_OBJECT, "", score)
    return Verdict(True, "split", KEPT, "", score, split="train")


def needed(wrong: Sequence[int]) -> int:
    """The number of decisions from which on at most 1 % of all are wrong."""
    most = WRONG * (len(wrong) - 1)
    return max((count + 1 for count, each in enumerate(wrong) if each > most), default=0)


def line(name: str, crawl: Simulated) -> str:
    """What one crawl takes."""
    fixed, learning = crawl.fixed(), list(crawl.learning())
    count, wrong = next((count, wrong) for count, (wrong, enough) in enumerate(learning) if enough)
    return (
        f"{name}: {len(crawl.clean)} photographs, {fixed[0]} wrong; 99 % right after {needed(fixed)} decisions in the "
        f"fixed order, {needed([wrong for wrong, _ in learning])} with the model, which says that it is enough after "
        f"{count}, when {wrong / len(crawl.clean):.1%} are wrong"
    )


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--crawls", type=int, default=5)
    options = parser.parse_args()
    photos = read_labelled(options.folders, (YoloDetector(options.detector), None), options.cache)
    problem = Problem.of(photos, EVIDENCE[DETECTOR])
    scores = problem.held_out(problem.groups)
    print(line("the labelled photographs", Simulated.of(photos, scores)))  # noqa: T201
    odds, rng = np.log(scores / (1.0 - scores)), np.random.default_rng(0)
    for number in range(options.crawls):
        rows = rng.integers(0, len(photos), _CRAWL)
        noisy = 1.0 / (1.0 + np.exp(-(odds[rows] + rng.normal(0.0, _NOISE, _CRAWL))))
        print(line(f"crawl {number}", Simulated.of([photos[row] for row in rows.tolist()], noisy)))  # noqa: T201


if __name__ == "__main__":
    main()
