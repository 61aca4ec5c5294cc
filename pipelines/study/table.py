"""The table of a study in the paper's layout, and what may be said of its differences; as cells and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from pipelines.study.definition import Paper, Study
from pipelines.study.statistics import Cell, Comparison, Line
from train.columns import DECIMALS, HEADINGS, METRICS


def table(lines: Sequence[Line], paper: Paper) -> list[list[str]]:
    """A heading and a line for each row and representation: mean ± deviation over seeds, the paper's in brackets."""
    shown = [column for column in zip(METRICS, HEADINGS, DECIMALS, strict=True) if column[0] in lines[0].cells]
    rows = [["trained on", "RoSTa", *(heading for _, heading, _ in shown)]]
    for line in lines:
        theirs = paper.get(line.row, {}).get(line.rosta, {})
        cells = [_words(line.cells[name], digits, theirs.get(name)) for name, _, digits in shown]
        rows.append([line.row, line.rosta, *cells])
    return rows


def differences(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """A heading and a line for each comparison."""
    rows = [["from", "to", "RoSTa", "SAD", "better on", "p", "p, Holm", "so"]]
    for each in comparisons:
        counts = f"{each.better} of {each.images} images"
        p = "-" if isnan(each.p) else f"{each.p:.2g}"
        change = f"{each.difference:+.2f}"
        rows.append([each.first, each.second, each.rosta, change, counts, p, f"{each.corrected:.2g}", each.verdict])
    return rows


def markdown(study: Study, lines: Sequence[Line], comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """The whole result as text."""
    parts = [f"# {study.name}", study.about, "\n".join(_pipes(table(lines, study.paper)))]
    parts.append(legend(study))
    if comparisons:
        parts += ["\n".join(_pipes(differences(comparisons))), TEST]
    parts.append("\n".join(f"* {note}" for note in notes))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def legend(study: Study) -> str:
    """What the cells are."""
    spread = f"mean ± standard deviation over {len(study.seeds)} seeds" if len(study.seeds) > 1 else "one seed"
    return f"{spread}; in brackets the paper's figure." if study.paper else f"{spread}."


TEST = """\
SAD: the change of the mean from the first to the second. Wilcoxon's signed-rank test over the images, two-sided, each
image by its mean over the seeds; Holm's correction for all comparisons."""


def _words(cell: Cell, digits: int, paper: float | None) -> str:
    spread = "" if cell.deviation is None else f" ± {cell.deviation:.{digits}f}"
    return f"{cell.mean:.{digits}f}{spread}" + ("" if paper is None else f" [{paper:.{digits}f}]")


def _pipes(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "| " + " | ".join("---" for _ in rows[0]) + " |", *body]
