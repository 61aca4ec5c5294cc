"""What a benchmark has measured already, in a file: it is shown at once, kept at once, and not measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rssn.storage.files import parse_json, write_json
from tests.benchmarks.table import Cost, Row


class Ledger:
    """The rows of a table by the step that measures them, and figures that several steps need.

    Args:
        path: A JSON file; None keeps nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        kept = parse_json(path.read_bytes()) if path is not None and path.is_file() else {}
        self._rows: dict[str, list[dict[str, Any]]] = kept.get("rows", {})
        self._figures: dict[str, Any] = kept.get("figures", {})

    def __contains__(self, step: str) -> bool:
        return step in self._rows

    def rows(self, step: str, measure: Callable[[], Iterable[Row]]) -> Iterator[Row]:
        """The rows of a step, measured where they are not kept."""
        if step not in self._rows:
            measured = list[dict[str, Any]]()
            for row in measure():
                yield row
                measured.append(asdict(row.without_results()))
            self._rows[step] = measured
            self._save()
            return
        yield from map(_row, self._rows[step])

    def figure(self, name: str, measure: Callable[[], Any]) -> Any:
        """A figure as JSON knows it, measured where it is not kept."""
        if name not in self._figures:
            self._figures[name] = measure()
            self._save()
        return self._figures[name]

    def _save(self) -> None:
        if self._path is not None:
            write_json(self._path, {"rows": self._rows, "figures": self._figures})


def _row(kept: dict[str, Any]) -> Row:
    reference, ours = (each and Cost(**each) for each in (kept["reference"], kept["ours"]))
    return Row(**{**kept, "reference": reference, "ours": ours})
