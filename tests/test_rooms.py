"""Floors and rooms, read from the source: imports run downwards, and no two rooms import from each other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {"rssn": 1, "bg20k": 2, "train": 2, "pipelines": 3}


def modules(root: Path) -> dict[str, Path]:
    """The source files by the name of their modules."""
    found = {}
    for package in FLOORS:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules of this project that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{one.name}" if f"{node.module}.{one.name}" in known else node.module
                      for one in node.names}  # fmt: skip
    return found & known.keys()


def room(module: str, path: Path) -> str:
    """The folder of a module; a module that lies directly in a package is a room of its own."""
    parts = module.split(".")
    folder = len(parts) > 2 or path.name == "__init__.py"
    return ".".join(parts[:2]) if folder else module


def room_imports(root: Path) -> dict[str, set[str]]:
    """The rooms that each room imports from, itself apart."""
    known = modules(root)
    rooms = {module: room(module, path) for module, path in known.items()}
    graph: dict[str, set[str]] = {name: set() for name in rooms.values()}
    for module, path in known.items():
        graph[rooms[module]] |= {rooms[each] for each in imports(path, known)} - {rooms[module]}
    return graph


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """One circle of imports; empty where there is none."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(root: Path) -> list[str]:
    """Imports from a floor above, or from another package of the same floor."""
    known = modules(root)
    found = []
    for module, path in known.items():
        package = module.partition(".")[0]
        for each in sorted(imports(path, known)):
            other = each.partition(".")[0]
            if other != package and FLOORS[other] >= FLOORS[package]:
                found.append(f"{module} imports {each}")
    return found


def test_no_two_rooms_import_from_each_other() -> None:
    graph = room_imports(ROOT)
    assert "rssn.storage" in graph["rssn.dataset"], "imports are found"
    assert not circle(graph)


def test_imports_run_to_the_floors_below() -> None:
    assert len(modules(ROOT)) > 150
    assert upward(ROOT) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"rssn/a/one.py": "from rssn.b import two", "rssn/b/two.py": ""}, []),
        ({"rssn/a/one.py": "def f():\n    from rssn.b.two import x", "rssn/b/two.py": "import rssn.a.one"},
         ["rssn.a", "rssn.b"]),
        ({"rssn/one.py": "from rssn.b.two import x", "rssn/b/two.py": "from rssn import one"}, ["rssn.b", "rssn.one"]),
    ],
)  # fmt: skip
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    write(tmp_path, files)
    assert sorted(set(circle(room_imports(tmp_path)))) == expected


def test_an_upward_import_is_found(tmp_path: Path) -> None:
    lines = "from bg20k.rules import Rules\nfrom rssn.errors import InputError"
    write(tmp_path, {"rssn/errors.py": "", "rssn/low.py": lines, "bg20k/rules.py": lines, "train/one.py": lines})
    assert upward(tmp_path) == ["rssn.low imports bg20k.rules", "train.one imports bg20k.rules"]


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
