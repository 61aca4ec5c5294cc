"""The tables of `rssn gap`: as cells for the page, and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.gap.result import Result
from rssn.gap.cues import CUES, LOW_LEVEL
from rssn.gap.letters import CueDistance, by_letter
from rssn.gap.measure import DISTANCE, STRENGTH
from rssn.storage.documents import counted

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
        largest = result.rankings[one.name].largest
        words = "none stands out"
        if largest:
            words = f"{largest.cue.letter}: {largest.cue.name}, {largest.far:.1f} deviations{_apart(largest)}"
        found.append((one.name, str(one.strength), str(one.distance.area), f"{one.distance.p:.3f}", words))
    return found


def _apart(one: CueDistance) -> str:
    return "" if CUES.index(one.cue) in LOW_LEVEL else " (in neither figure)"


def largest(result: Result, name: str) -> str:
    """The largest cue of a set and what acts on it, or that none stands out."""
    ranking = result.rankings[name]
    if ranking.largest:
        return f"the largest cue is {ranking.largest.words(result.steps(name))}{_apart(ranking.largest)}"
    one = ranking.cues[0]
    words = f"{one.cue.letter} ({one.cue.name}), is {one.far:.1f} deviations off"
    return f"no cue stands out: the farthest, {words}; by chance it is up to {ranking.chance:.1f}"


def counts(result: Result) -> Iterator[str]:
    """How many pictures and foregrounds each side has, and how many foregrounds both."""
    theirs = counted(len(set(result.photographs.pictures.groups)), "foreground")
    yield f"photographs: {counted(len(result.photographs.pictures), 'picture')} of {theirs}"
    for name, read in result.sets.items():
        words = f"{counted(len(read.pictures), 'composite')} of {counted(len(set(read.pictures.groups)), 'foreground')}"
        yield f"{name}: {words}, of which the photographs show {result.shared(name)}"


def differences(result: Result) -> list[tuple[str, ...]]:
    """A heading and a line for each pair of sets and figure; empty for a single set."""
    found = [
        (one.first, one.second, one.figure, str(one.change), "different" if one.differs else "not told apart")
        for one in result.gap.differences
    ]
    return [("from", "to", "figure", "change", "so"), *found] if found else []


_LETTERS_HEAD = (
    "set",
    "letter",
    "distance by it alone",
    "farthest cue",
    "deviations",
    "by chance up to",
    "F minus B",
    "photographs",
    "what acts on it",
)


def letters(result: Result) -> list[tuple[str, ...]]:
    """A heading and a line for each set and letter: its farthest cue."""
    found: list[tuple[str, ...]] = [_LETTERS_HEAD]
    for one in result.gap.sets:
        ranking = result.rankings[one.name]
        for letter, each in by_letter(ranking.cues).items():
            middles = zip((each.composites, each.photographs), each.spreads, strict=True)
            values = [f"{mean:+.2f} ± {spread:.2f}" for mean, spread in middles]
            remedy = each.remedy(result.steps(one.name)) if ranking.stands_out(each) else "does not stand out"
            far = f"{each.far:.1f}", f"{ranking.chance:.1f}"
            found.append((one.name, letter, str(one.letters[letter]), each.cue.name, *far, *values, remedy))
    return found


def lines(result: Result) -> Iterator[str]:
    """What the command prints."""
    yield from counts(result)
    yield from _aligned(table(result))
    for one in result.gap.sets:
        yield f"{one.name}: {largest(result, one.name)}"
    for figure in (STRENGTH, DISTANCE) if result.gap.differences else ():
        apart = [each for each in result.gap.differences if each.figure == figure and each.differs]
        words = ", ".join(f"{each.first} to {each.second} {each.change.value:+.3f}" for each in apart)
        yield f"{figure}, different: {words or 'no pair of sets'}"


def _aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
