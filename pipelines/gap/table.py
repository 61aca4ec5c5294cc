"""The tables of `rssn gap`: as cells for the page, and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.gap.result import Result
from rssn.gap.letters import by_letter
from rssn.gap.measure import DISTANCE, STRENGTH

HEAD = ("set", "cue strength", "distance", "p", "largest cue")

WORDS = """\
Cue strength: how well resolution, sharpness, noise and compression alone tell patches of F from patches of B. The
target is the photographs' value, not 0.5: their subject is in focus, too. Distance: how well a composite can be told
from a photograph by F minus B; 0.5: not at all. Both are areas under the ROC curve over pairs of one fold; folds are
dealt over foregrounds, intervals (95 %) from a jackknife over foregrounds, p from a permutation test."""


def table(result: Result) -> list[tuple[str, ...]]:
    """A heading, the photographs, and a line for each set."""
    gap = result.gap
    found: list[tuple[str, ...]] = [HEAD, ("photographs", str(gap.strength), "", "", "")]
    for one in gap.sets:
        largest = one.cues[0]
        words = f"{largest.cue.letter}: {largest.cue.name}, {largest.far:.1f} deviations"
        found.append((one.name, str(one.strength), str(one.distance.area), f"{one.distance.p:.3f}", words))
    return found


def differences(result: Result) -> list[tuple[str, ...]]:
    """A heading and a line for each pair of sets and figure; empty for a single set."""
    found = [
        (one.first, one.second, one.figure, str(one.change), "different" if one.differs else "not told apart")
        for one in result.gap.differences
        if one.figure in (STRENGTH, DISTANCE)
    ]
    return [("from", "to", "figure", "change", "so"), *found] if found else []


def letters(result: Result) -> list[tuple[str, ...]]:
    """A heading and a line for each set and letter: its farthest cue."""
    found: list[tuple[str, ...]] = [
        (
            "set",
            "letter",
            "distance by it alone",
            "farthest cue",
            "deviations",
            "F minus B",
            "photographs",
            "what acts on it",
        )
    ]
    for one in result.gap.sets:
        for letter, each in by_letter(one.cues).items():
            values = (f"{each.composites:+.2f}", f"{each.photographs:+.2f}")
            found.append(
                (one.name, letter, str(one.letters[letter]), each.cue.name, f"{each.far:.2f}", *values, each.remedy)
            )
    return found


def lines(result: Result) -> Iterator[str]:
    """What the command prints."""
    yield from _aligned(table(result))
    for one in result.gap.sets:
        yield f"{one.name}: the largest cue is {one.cues[0].words()}"
    for figure in (STRENGTH, DISTANCE) if result.gap.differences else ():
        apart = [each for each in result.gap.differences if each.figure == figure and each.differs]
        words = ", ".join(f"{each.first} to {each.second} {each.change.value:+.3f}" for each in apart)
        yield f"{figure}, different: {words or 'no pair of sets'}"


def _aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
