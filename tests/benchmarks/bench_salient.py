"""Salient objects: fits the table `bg20k/salient.json` on labelled photographs, and says how it does on others.

python -m tests.benchmarks.bench_salient DETECTOR FOLDER... [--saliency FILE.onnx] [--cache FILE.json] [--write]

Each FOLDER holds photographs and `labels.tsv`: columns of tabs `file`, `label` (`clean`, `salient`; others are left
out) and `duplicate_group` or `group`. Copies of one photograph are held out together, and weigh as much as one. What is
printed is on photographs that were held out, the choice of the regularisation included: one group at a time, and one
folder at a time. `--cache` keeps what the networks found, `--write` writes the table into the package.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

import bg20k
from bg20k.candidates import examine
from bg20k.evidence import BOTH, CREATURE, DETECTOR, REGION, SALIENCY, THING, kind_of, log_odds, strength_of
from bg20k.objects import VIEWS, WHOLE, Detection, look
from bg20k.onnx_model import Scaling
from bg20k.rules import CurationRules
from bg20k.saliency import OnnxSaliency, Saliency, find_salient, saliency_score
from bg20k.yolo import YoloDetector
from tests.pictures import group_of, read_table

Floats = npt.NDArray[np.float64]

RULES = CurationRules(min_side=720)
TABLE = Path(bg20k.__file__).with_name("salient.json")
EVIDENCE: Final = {DETECTOR: (CREATURE, THING), SALIENCY: (REGION,), BOTH: (CREATURE, THING, REGION)}
CORNERS: Final = {
    "top left": (0.0, 0.0, 0.6, 0.6),
    "top right": (0.4, 0.0, 1.0, 0.6),
    "bottom left": (0.0, 0.4, 0.6, 1.0),
    "bottom right": (0.4, 0.4, 1.0, 1.0),
}
LOOKS: Final = {
    "the whole frame": (WHOLE,),
    "the whole frame and its centre": tuple(VIEWS),
    "the whole frame, its centre and its corners": (*VIEWS, *CORNERS),
}
_STRENGTHS = (0.3, 1.0, 3.0, 10.0)  # inverse weights of the squares of the coefficients
_POINT = re.compile(r"\[\s+([\d.]+),\s+([\d.]+)\s+\]")  # two numbers of the table, in a line
_INNER = 5  # folds in which one of them is chosen


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photograph with its label and what the networks found in it."""

    folder: str
    file: str
    group: str
    salient: bool
    boxes: Sequence[Detection]  # in all views, the corners included
    saliency: Saliency | None

    def evidence(self, views: Sequence[str]) -> dict[str, float]:
        """As `bg20k.evidence.evidence_of` has it, for any views."""
        found = {kind: float(np.mean([self._strongest(kind, view) for view in views])) for kind in (CREATURE, THING)}
        return found | ({REGION: saliency_score(self.saliency, RULES)} if self.saliency else {})

    def _strongest(self, kind: str, view: str) -> float:
        boxes = (box for box in self.boxes if box.view == view and kind_of(box.label, RULES) == kind)
        return max((strength_of(box, RULES) for box in boxes), default=0.0)


@dataclass(frozen=True)
class Problem:
    """n photographs as numbers: n x d log odds, labels, weights, groups and folders."""

    x: Floats
    y: npt.NDArray[np.bool_]
    weights: Floats
    groups: npt.NDArray[np.str_]
    folders: npt.NDArray[np.str_]

    @classmethod
    def of(cls, photos: Sequence[Labelled], names: Sequence[str], views: Sequence[str] = tuple(VIEWS)) -> Problem:
        """The problem of some evidence in some views."""
        counts = Counter((photo.group, photo.salient) for photo in photos)
        found = [photo.evidence(views) for photo in photos]
        return cls(
            np.array([[log_odds(each[name]) for name in names] for each in found]),
            np.array([photo.salient for photo in photos]),
            np.array([1.0 / counts[photo.group, photo.salient] for photo in photos]),
            np.array([photo.group for photo in photos]),
            np.array([photo.folder for photo in photos]),
        )

    def take(self, rows: npt.NDArray[np.bool_]) -> Problem:
        """Some of the photographs."""
        return Problem(self.x[rows], self.y[rows], self.weights[rows], self.groups[rows], self.folders[rows])

    def fit(self, strength: float) -> Any:
        """A logistic regression on all of them."""
        return LogisticRegression(C=strength, max_iter=500).fit(self.x, self.y, sample_weight=self.weights)

    def choose(self) -> float:
        """The regularisation with the least log loss over folds of groups."""
        folds = list(StratifiedGroupKFold(_INNER, shuffle=True, random_state=0).split(self.x, self.y, self.groups))
        losses = {strength: sum(self._loss(strength, *fold) for fold in folds) for strength in _STRENGTHS}
        return min(losses, key=lambda strength: losses[strength])

    def _loss(self, strength: float, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]) -> float:
        rows = np.isin(np.arange(len(self.y)), train)
        p = self.take(rows).fit(strength).predict_proba(self.x[test])[:, 1]
        return float(-(self.weights[test] * np.log(np.where(self.y[test], p, 1 - p))).sum())

    def held_out(self, parts: npt.NDArray[np.str_]) -> Floats:
        """The probability of each photograph, fitted on those of all other parts, and chosen on those."""
        p = np.empty(len(self.y))
        for part in np.unique(parts):
            rows = parts == part
            rest = self.take(~rows)
            p[rows] = rest.fit(rest.choose()).predict_proba(self.x[rows])[:, 1]
        return p

    def rates(self, p: Floats, limit: float) -> dict[str, Any]:
        """Recall and the share of clean ones lost, each with its interval of 95 %."""
        recall, lost = (_share(p[self.y == is_] >= limit, self.weights[self.y == is_]) for is_ in (True, False))
        return {"recall": recall[0], "recall_range": recall[1:], "lost": lost[0], "lost_range": lost[1:]}

    def curve(self, p: Floats) -> list[tuple[float, float]]:
        """Points of (lost, recall) where the recall rises, from the strictest limit to the most lenient one."""
        found = [self.rates(p, limit) for limit in (*np.unique(p)[::-1], 0.0)]
        points = [(0.0, 0.0)]
        for lost, recall in sorted((round(each["lost"], 3), round(each["recall"], 3)) for each in found):
            if recall > points[-1][1]:
                points.append((lost, recall))
        return points


def _share(hits: npt.NDArray[np.bool_], weights: Floats) -> tuple[float, float, float]:
    """A weighted share and Wilson's interval."""
    n, z = float(weights.sum()), 1.96
    if not n:
        return (float("nan"),) * 3
    share = float(weights[hits].sum()) / n
    middle, width = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    return share, max(low, 0.0), min(high, 1.0)


def read_labelled(
    folders: Sequence[Path], networks: tuple[YoloDetector, OnnxSaliency | None], cache: Path | None
) -> list[Labelled]:
    """All photographs that are clean or salient, looked at or taken from the cache."""
    known: dict[str, Any] = json.loads(cache.read_text()) if cache and cache.exists() else {}
    photos = []
    for folder in folders:
        for row in [row for row in read_table(folder / "labels.tsv") if row["label"] in ("clean", "salient")]:
            path = folder / row["file"]
            found = known.setdefault(f"{folder.name}/{path.name}", {})
            _look(found, path, networks)
            photos.append(_labelled(folder.name, row, found))
    if cache:
        cache.write_text(json.dumps(known))
    return photos


def _look(found: dict[str, Any], path: Path, networks: tuple[YoloDetector, OnnxSaliency | None]) -> None:
    """Add what is missing."""
    detector, saliency = networks
    if "boxes" in found and ("saliency" in found or not saliency):
        return
    pixels = examine(path.read_bytes(), RULES, path.name).pixels
    if "boxes" not in found:
        found["boxes"] = [box.to_box() for box in look(detector, [pixels], {**VIEWS, **CORNERS})[0]]
    if saliency and "saliency" not in found:
        found["saliency"] = asdict(find_salient(saliency.mask(pixels)))


def _labelled(folder: str, row: Mapping[str, str], found: Mapping[str, Any]) -> Labelled:
    boxes = [Detection.of_box(box) for box in found["boxes"]]
    saliency = Saliency(**found["saliency"]) if "saliency" in found else None
    return Labelled(folder, row["file"], f"{folder}/{group_of(row)}", row["label"] == "salient", boxes, saliency)


def lines(photos: Sequence[Labelled]) -> Iterator[str]:
    """What each choice of networks and views gives, by folder, and which photographs are wrong."""
    yield f"rejected from a probability of {RULES.salient_limit:.3f} on (one salient for {RULES.salient_cost:g} clean)"
    for title, views in LOOKS.items():
        yield from _rows(f"{DETECTOR}, {title}", Problem.of(photos, EVIDENCE[DETECTOR], views))
    for name in (SALIENCY, BOTH):
        if all(photo.saliency for photo in photos):
            yield from _rows(name, Problem.of(photos, EVIDENCE[name]))
    problem = Problem.of(photos, EVIDENCE[DETECTOR])
    p = problem.held_out(problem.groups)
    for salient, word in ((True, "let through"), (False, "lost")):
        wrong = np.flatnonzero((problem.y == salient) & ((p < RULES.salient_limit) == salient))
        named = ", ".join(f"{photos[row].file} ({p[row]:.2f})" for row in wrong.tolist())
        yield f"{word} with a detector alone: {named or 'none'}"
    band = np.array([RULES.is_unsure(each) for each in p])
    right = (p >= RULES.salient_limit) == problem.y
    yield f"to be looked at: {band.mean():.0%}; of the others {(right & ~band).sum() / (~band).sum():.1%} are right"


def _rows(title: str, problem: Problem) -> Iterator[str]:
    yield f"{title}:"
    everywhere = problem.held_out(problem.groups)
    names = np.unique(problem.folders).tolist()
    yield _line("all, one group held out", problem, everywhere, np.ones(len(problem.y), np.bool_))
    for name in names if len(names) > 1 else ():
        yield _line(f"{name}, one group held out", problem, everywhere, problem.folders == name)
    if len(names) > 1:
        apart = problem.held_out(problem.folders)
        for name in names:
            yield _line(f"{name}, fitted on the others alone", problem, apart, problem.folders == name)


def _line(words: str, problem: Problem, p: Floats, rows: npt.NDArray[np.bool_]) -> str:
    part = problem.take(rows)
    found = part.rates(p[rows], RULES.salient_limit)
    curve = part.curve(p[rows])
    at = {most: max((recall for lost, recall in curve if lost <= most), default=0.0) for most in (0.05, 0.1, 0.15)}
    return (
        f"  {words}: recall {found['recall']:.2f} ({found['recall_range'][0]:.2f} to {found['recall_range'][1]:.2f}), "
        f"clean lost {found['lost']:.2f} ({found['lost_range'][0]:.2f} to {found['lost_range'][1]:.2f}); "
        + "recall at "
        + ", ".join(f"{most:.0%} lost {recall:.2f}" for most, recall in at.items())
    )


def table(photos: Sequence[Labelled], networks: Sequence[str]) -> dict[str, Any]:
    """What `bg20k/salient.json` holds."""
    fits = {}
    for name, evidence in EVIDENCE.items():
        problem = Problem.of(photos, evidence)
        model = problem.fit(problem.choose())
        weights = {key: round(weight, 4) for key, weight in zip(evidence, model.coef_[0].tolist(), strict=True)}
        if min(weights.values()) < 0:
            raise ValueError(f"{name}: evidence with a negative weight: {weights}")
        p = problem.held_out(problem.groups)
        rates = {key: np.round(rate, 3).tolist() for key, rate in problem.rates(p, RULES.salient_limit).items()}
        fits[name] = {
            "bias": round(float(model.intercept_[0]), 4),
            "weights": weights,
            "error": rates | {"curve": problem.curve(p)},
        }
    counts = Counter((photo.folder, "salient" if photo.salient else "clean") for photo in photos)
    about = {f"{folder}, {label}": count for (folder, label), count in sorted(counts.items())}
    return {
        "fitted_by": "python -m tests.benchmarks.bench_salient",
        "networks": list(networks),
        "photographs": about,
        "fits": fits,
    }


def main() -> None:
    """Look, fit, print; and write the table where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--saliency", type=Path, help="a class-free network, .onnx")
    parser.add_argument("--saliency-scaling", choices=get_args(Scaling), default="centred")
    parser.add_argument("--cache", type=Path, help="what the networks found, as JSON; made where it is missing")
    parser.add_argument("--write", action="store_true", help="write bg20k/salient.json; needs --saliency")
    options = parser.parse_args()
    if options.write and not options.saliency:
        parser.error("--write needs --saliency: the table has rows for both networks")
    saliency = OnnxSaliency(options.saliency, options.saliency_scaling) if options.saliency else None
    detector = YoloDetector(options.detector)
    photos = read_labelled(options.folders, (detector, saliency), options.cache)
    if options.write:
        assert saliency
        text = json.dumps(table(photos, (detector.name, saliency.name)), indent=1)
        TABLE.write_text(_POINT.sub(r"[\1, \2]", text) + "\n", encoding="utf-8")
    print("\n".join(lines(photos)))  # noqa: T201


if __name__ == "__main__":
    main()
