"""The table of a study in the paper's layout, and what may be said of its differences; as cells and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from pipelines.study.comparisons import Comparison, SetResult
from pipelines.study.correlation import Measured, correlations
from pipelines.study.parts import Design, Paper
from pipelines.study.results import Figure, Line
from pipelines.study.schema import Study
from train.metrics.paper import METRICS


def table(lines: Sequence[Line], paper: Paper, measured: Mapping[str, Measured] | None = None) -> list[list[str]]:
    """A heading and a line for each row and variant: mean ± deviation over seeds, the paper's figure in brackets.

    The meter's figures of its composites stand last, where they were measured.
    """
    shown = [metric for metric in METRICS.values() if metric.name in lines[0].figures]
    rows = [["trained on", "network", *(metric.heading for metric in shown)]]
    for line in lines:
        theirs = paper.get(line.row, {}).get(line.variant, {})
        cells = [_words(line.figures[each.name], each.decimals, theirs.get(each.name)) for each in shown]
        rows.append([line.row, line.variant, *cells])
    if measured:
        rows[0] += ["cue strength", "distance"]
        for line, row in zip(lines, rows[1:], strict=True):
            one = measured.get(line.row)
            row.extend([str(one.strength), str(one.distance)] if one else ["-", "-"])
    return rows


def differences(comparisons: Sequence[Comparison], tested: bool = True) -> list[list[str]]:
    """A heading and a line for each comparison; p and verdict where it is tested."""
    head = ["from", "to", "network", "mean SAD", "change", "95 %", "smaller on"]
    rows = [[*head, *(("p", "p, Holm", "so") if tested else ())]]
    for each in comparisons:
        low, high = each.interval
        interval = "-" if isnan(low) else f"[{low:+.0%}, {high:+.0%}]"
        smaller = f"{each.smaller} of {each.images} images"
        tests = ["-" if isnan(each.p) else f"{each.p:.2g}", f"{each.corrected:.2g}", each.verdict] if tested else []
        found = [f"{each.difference:+.2f}", f"{each.change:+.0%}", interval, smaller]
        rows.append([each.first, each.second, each.variant, *found, *tests])
    return rows


def markdown(study: Study, results: Sequence[SetResult], notes: Sequence[str]) -> str:
    """The whole result as text."""
    parts = [f"# {study.name}", study.about]
    if study.design:
        parts += ["## Design", "\n".join(f"* {name}: {value}" for name, value in design_facts(study.design).items())]
    for one in results:
        parts += [f"## {heading(one)}" if one.name else "", introduction(one)]
        cells = table(one.lines, study.paper if one.tested else {}, one.measured)
        parts += ["\n".join(_pipes(cells)), legend(study, one), meter_words(one)]
        if one.comparisons:
            parts.append("\n".join(_pipes(differences(one.comparisons, one.tested))))
            parts.append(TEST if one.tested else DESCRIBED)
    parts.append("\n".join(f"* {note}" for note in notes))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def design_facts(design: Design) -> dict[str, str]:
    """What was decided before the data were seen, by what it is."""
    return {
        "written before the data were seen": design.date,
        "by the spread of": design.pilot,
        "looked for": f"a SAD that is smaller by {design.difference:.0%}",
        "by": f"{design.seeds} seeds and {design.photographs} photographs",
        "power": f"{design.power:.2f}; {design.cautious:.2f} with all spreads at the upper end of their intervals",
    }


def heading(one: SetResult) -> str:
    """The set's name, its size, and whether it is tested."""
    return f"{one.name}: {len(one.lines[0].by_image)} photographs, {'tested' if one.tested else 'described'}"


def introduction(one: SetResult) -> str:
    """What is to be known of a set before its figures are read; empty where there is nothing."""
    words = [one.about.note]
    if one.about.tuned:
        words.append(f"Chosen on these photographs: {one.about.tuned}")
    if one.about.predicted:
        words.append("The mattes are a network's, not true ones: figures say what is alike.")
    return " ".join(" ".join(each.split()) for each in words if each)


def legend(study: Study, one: SetResult) -> str:
    """What the cells are."""
    spread = f"mean ± standard deviation over {len(study.seeds)} seeds" if len(study.seeds) > 1 else "one seed"
    return f"{spread}; in brackets the paper's figure." if study.paper and one.tested else f"{spread}."


def meter_words(one: SetResult) -> str:
    """What the meter's figures are, and whether they order the rows as SAD does; empty where it was not asked."""
    if not one.measured:
        return ""
    targets = dict.fromkeys(f"{each.target.value:.3f}" for each in one.measured.values())
    said = [f"{each.words(with_p=one.tested)}." for each in correlations(one.lines, one.measured)]
    return " ".join([METER.format(" or ".join(targets)), *(said or ["Too few rows for a rank correlation."])])


METER = """\
Cue strength and distance are the gap meter's, of composites against the photographs of the foregrounds: {} is the
photographs' cue strength, which is the target, as 0.5 is of distance. Does the meter order rows as SAD does? By
Spearman's rank correlation with geometric means of SAD; its p, by permutations of the rows, is not of the one test:"""

_CHANGE = """\
Mean SAD: that of the second less that of the first. Change: by what share SAD grows from the first to the second, by
geometric means, in which a photograph counts by its ratio, not by its size; with its interval of 95 %."""

TEST = f"""\
{_CHANGE}
One test of the change, two-sided: would other trainings on the same data differ, on other photographs like these? Its
variance is that over the photographs plus that over the trainings, its degrees of freedom are Satterthwaite's. A row is
called better where p is below 0.05 after Holm's correction for all comparisons; intervals are not corrected."""


DESCRIBED = f"{_CHANGE}\nNothing is tested here: a study makes one test, on one set."


def _words(figure: Figure, digits: int, paper: float | None) -> str:
    spread = "" if figure.deviation is None else f" ± {figure.deviation:.{digits}f}"
    return f"{figure.mean:.{digits}f}{spread}" + ("" if paper is None else f" [{paper:.{digits}f}]")


def _pipes(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "| " + " | ".join("---" for _ in rows[0]) + " |", *body]
