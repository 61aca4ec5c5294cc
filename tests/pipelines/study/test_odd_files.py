"""Files that were meant to break the reader: each is refused in one line, as a study and as a recipe."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.study.load import load_study
from rssn.errors import InputError
from rssn.route.recipe import load_recipe

_TAG = "line 1: the tag !!python/object/apply:os.system means nothing here; leave it out"
_NUMBER = "line 2: {} is doubtful as a number; write a whole number in at most 18 decimal digits"
EITHER = {
    "bomb.yaml": "line 4: more than 10000 values, with what aliases stand for; write fewer",
    "bomb3.yaml": "line 1: more than 10000 values, with what aliases stand for; write fewer",
    "date.yaml": "line 1: 2020-13-45 is a date in YAML; put it in quotes if it is a text",
    "deep.yaml": "line 1: nested deeper than 32; no key here needs that",
    "esc.yaml": r"line 1: a text holds the control character '\x1b'; remove it",
    "hex.yaml": _NUMBER.format("0x7fffffffffffffffffff"),
    "key.yaml": "line 1: a key is a list or a mapping; put a text in quotes",
    "longk.yaml": _NUMBER.format("9" * 40),
    "loop.yaml": "line 1: *a stands inside what it stands for; write it out",
    "loopmap.yaml": "line 3: *b stands inside what it stands for; write it out",
    "multi.yaml": "not YAML: line 2: expected a single document in the stream, but found another document",
    "nul.yaml": r"line 1: '\x00' is not allowed in YAML; remove it",
    "tab.yaml": r"not YAML: line 1: while scanning for the next token, found character '\t' that cannot start any",
    "tag.yaml": _TAG,
}
AS_RECIPE = EITHER | {
    "bomb2.yaml": "name is ['x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x']; expected a text",
    "inf.yaml": "'blur' is a step: write it into the list 'steps', as `rssn recipe comp-rssn` shows",
    "merge.yaml": "unknown key 'a'; known here: fit, foreground",
}
AS_STUDY = EITHER | {
    "bomb2.yaml": "name is ['x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x']; expected a text",
    "inf.yaml": "unknown key 'k'; known here: about, backgrounds, compare",
    "merge.yaml": "unknown key 'a'; known here: about, backgrounds, compare",
}


@pytest.fixture
def odd(shared: Path) -> Path:
    """Skips where they are absent."""
    folder = shared / "cases" / "31-study-yaml"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.mark.parametrize(("load", "expected"), [(load_recipe, AS_RECIPE), (load_study, AS_STUDY)])
def test_each_is_refused_by_file_and_line_or_key(
    odd: Path, load: Callable[[str], object], expected: dict[str, str]
) -> None:
    assert {path.name for path in odd.iterdir()} == expected.keys()
    for path in odd.iterdir():
        with pytest.raises(InputError) as caught:
            load(str(path))
        assert str(caught.value).startswith(f"{path}: {expected[path.name]}")
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_says_so_in_one_line(
    odd: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """One of each kind; the study that runs for ever where its aliases are followed is among them."""
    for name in ("bomb3.yaml", "esc.yaml"):
        run = rssn("study", odd / name, "--out", tmp_path / "out")
        assert (run.returncode, run.stderr.count("\n"), run.stdout) == (1, 1, "")
        assert run.stderr.startswith(f"Error: {odd / name}: {AS_STUDY[name]}")
        assert "\x1b" not in run.stderr
    assert not (tmp_path / "out").exists()
