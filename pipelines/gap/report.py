"""The page of `rssn gap`: tables, distributions, and the pictures that are told apart most easily."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.gap.result import Read, Result
from pipelines.gap.table import WORDS, differences, letters, table
from rssn.gap.cues import CUES
from rssn.gap.heat import heat_picture, patch_heat
from rssn.gap.measure import SetGap
from rssn.gap.pictures import Floats, shrink
from rssn.image.arrays import Pixels, fit_inside
from rssn.report.charts import distributions_picture
from rssn.report.page import Section, Tile, contact_sheet, page

_SHOWN = 6
_SIDE = 360

_LETTERS = """\
By it alone: the distance by the cues of one letter; that by several leaves light and colour out. Deviations: the
1-Wasserstein distance of F minus B, a value a picture, between composites and photographs, in the photographs' standard
deviations. Small sets are never at 0, for chance alone sets them apart."""
_CUES = "F minus B of every picture, by set. The line is the photographs' mean."
_HEAT = """\
The pictures, and what their patches add to the score, by a model of all pictures: red looks like a composite, blue like
a photograph, grey is no patch of 32 x 32 px of F or B alone. The number is the score of models that have not seen the
picture's foreground: above 0 for composites. Of each foreground only the first picture is shown."""


def gap_page(result: Result) -> str:
    """The page, self-contained."""
    sections = [Section("How far", WORDS, table=table(result))]
    if result.notes:
        sections.append(Section("To know", facts={str(n): note for n, note in enumerate(result.notes, 1)}))
    if changes := differences(result):
        words = "The second less the first; called different where the interval of the paired jackknife excludes 0."
        sections.append(Section("From set to set", words, table=changes))
    sections.append(Section("By letter", _LETTERS, table=letters(result)))
    sections += _pictured(result)
    sections.append(Section("Cues", _CUES, pictures=list(_distributions(result))))
    meanings = [("cue", "letter", "what it is"), *((cue.name, cue.letter, cue.meaning) for cue in CUES)]
    sections.append(Section("What the cues are", table=meanings))
    return page("The gap between composites and photographs", sections)


def _distributions(result: Result) -> Iterator[Pixels]:
    for number, cue in enumerate(CUES):
        everything = {"photographs": result.photographs, **result.sets}
        series = {name: read.pictures.shifts[:, number] for name, read in everything.items()}
        yield distributions_picture(f"{cue.letter}: {cue.name}, F minus B", series)


def _pictured(result: Result) -> Iterator[Section]:
    """For each set its composites, and the photographs, that are told apart most easily."""
    for one in result.gap.sets:
        read = result.sets[one.name]
        count = len(read.pictures)
        ours, theirs = one.distance.scores[:count], one.distance.scores[count:]
        sheets = [_sheet(result, one, read, ours), _sheet(result, one, result.photographs, -theirs)]
        yield Section(f"Told apart most easily: {one.name}, and photographs against it", _HEAT, pictures=sheets)


def _sheet(result: Result, one: SetGap, read: Read, clear: Floats) -> Pixels:
    """The pictures of the largest values: a row of them, and a row of their patches."""
    best: dict[str, int] = {}
    for number in np.argsort(-clear, kind="stable").tolist():
        best.setdefault(read.pictures.groups[number], number)
    shown, heats = [], []
    for number in list(best.values())[:_SHOWN]:
        name = read.pictures.names[number]
        _, pixels, alpha = read.source.load(name)
        pixels, alpha = shrink(pixels, alpha, result.job.at)
        heat, places = patch_heat(pixels, alpha, one.distance.model, result.photographs.pictures)
        score = clear[number] if read is not result.photographs else -clear[number]
        shown.append(Tile(fit_inside(pixels, _SIDE), f"{name}: {score:+.1f}"))
        heats.append(Tile(fit_inside(heat_picture(pixels, heat, places), _SIDE)))
    return contact_sheet([shown, heats], side=_SIDE)
