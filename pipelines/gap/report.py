"""The page of `rssn gap`: tables, distributions, and the pictures that are told apart most easily."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from pipelines.gap.result import Read, Result
from pipelines.gap.table import WORDS, counts, differences, largest, letters, table
from rssn.gap.cues import CUES
from rssn.gap.heat import heat_picture, patch_heat
from rssn.gap.measure import SetGap
from rssn.gap.pictures import Floats, shrink
from rssn.image.arrays import fit_inside
from rssn.report.charts import DENSITY, deviations_picture
from rssn.report.page import Figure, Section, page
from rssn.versions import version

_SHOWN = 6
_HEIGHT, _SHOWN_HEIGHT = 400, 195  # px of a picture, and px of the page that it takes

_LETTERS = """\
By it alone: the distance by the cues of one letter; that by several leaves light and colour out. Deviations: the
1-Wasserstein distance of F minus B, a value a picture, between composites and photographs, in the photographs' standard
deviations. Small sets are never at 0. A cue stands out where it is farther off than 95 of 100 times that composites and
photographs change places at random, the farthest cue counting each time. Its remedy has a direction where the shift of
the means is half of the distance or more."""
_CUES = """\
F minus B of every picture. The axis of all charts are deviations of the photographs about their mean, the red line;
what is more than 4 off is counted at the ends. Bars of a chart have one scale: shares of their set."""
_HEAT = """\
Each picture, and what its patches add to the score, by a model of all pictures: red looks like a composite, blue like
a photograph, grey is no patch of 32 x 32 px of F or B alone. The number is the score of models that have not seen the
picture's foreground: above 0 for composites. Of each foreground only the first picture is shown."""


def gap_page(result: Result) -> str:
    """The page, self-contained."""
    sections = [Section("How far", WORDS, table=table(result))]
    facts = {one.name: largest(result, one.name) for one in result.gap.sets}
    sections.append(Section("The largest cue", facts=facts))
    if result.notes:
        sections.append(Section("To know", facts={str(n): note for n, note in enumerate(result.notes, 1)}))
    if changes := differences(result):
        words = "The second less the first; called different where the interval of the change excludes 0."
        sections.append(Section("From set to set", words, table=changes))
    sections.append(Section("By letter", _LETTERS, table=letters(result)))
    sections.append(Section("Cues", _CUES, figures=list(_distributions(result))))
    sections += _pictured(result)
    meanings = [("cue", "letter", "what it is"), *((cue.name, cue.letter, cue.meaning) for cue in CUES)]
    sections.append(Section("What the cues are", table=meanings))
    sections.append(Section("What was measured", facts=_provenance(result)))
    title = "The gap between composites and photographs"
    return page(f"{title}: a fit, judged by the half that decided nothing" if result.job.fit else title, sections)


def _provenance(result: Result) -> dict[str, str]:
    job = result.job
    found = {"made": f"{datetime.now(UTC):%Y-%m-%d}, by rssn {version('rssn')}, scikit-learn {version('scikit-learn')}"}
    found |= {key.replace("_", " "): str(value) for key, value in job.fit.items()}
    found["photographs"] = str(job.photographs.place)
    for name, source in job.sets.items():
        found[name] = f"{source.place}, {source.recipe.label if source.recipe else 'no recipe'}"
    for line in counts(result):
        name, _, words = line.partition(": ")
        found[name] += f"; {words}"
    return found | {"--at": str(job.at), "--seed": str(job.seed)}


def _distributions(result: Result) -> Iterator[Figure]:
    everything = {"photographs": result.photographs, **result.sets}
    for number, cue in enumerate(CUES):
        series = {name: read.pictures.shifts[:, number] for name, read in everything.items()}
        ours = series["photographs"]
        unit = f"photographs {ours.mean():+.2f} ± {ours.std(ddof=1):.2f}"
        yield Figure(
            deviations_picture(series), f"{cue.letter}: {cue.name}. {cue.meaning}; {unit}", DENSITY, drawn=True
        )


def _pictured(result: Result) -> Iterator[Section]:
    """For each set its composites, and the photographs, that are told apart most easily."""
    for one in result.gap.sets:
        read = result.sets[one.name]
        count = len(read.pictures)
        ours, theirs = one.distance.scores[:count], one.distance.scores[count:]
        yield Section(
            f"Composites that are told apart most easily: {one.name}",
            _HEAT,
            figures=list(_shown(result, one, read, ours)),
        )
        photographs = list(_shown(result, one, result.photographs, -theirs))
        yield Section(f"Photographs that are told apart most easily from {one.name}", figures=photographs)


def _shown(result: Result, one: SetGap, read: Read, clear: Floats) -> Iterator[Figure]:
    """The pictures of the largest values, each beside its patches."""
    best: dict[str, int] = {}
    for number in np.argsort(-clear, kind="stable").tolist():
        best.setdefault(read.pictures.groups[number], number)
    for number in list(best.values())[:_SHOWN]:
        name = read.pictures.names[number]
        _, pixels, alpha = read.source.load(name)
        pixels, alpha = shrink(pixels, alpha, result.job.at)
        heat, places = patch_heat(pixels, alpha, one.distance.model, result.photographs.pictures)
        score = clear[number] if read is not result.photographs else -clear[number]
        both = np.hstack([pixels, heat_picture(pixels, heat, places)])
        fitted = fit_inside(both, round(_HEIGHT * max(1, both.shape[1] / both.shape[0])))
        density = max(1.0, fitted.shape[0] / _SHOWN_HEIGHT)
        yield Figure(fitted, f"{score:+.1f}: {read.source.caption(name)}", density)
