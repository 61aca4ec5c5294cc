from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from rssn.errors import InputError
from rssn.storage.documents import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, brief, counted, load_mapping, read_text


def load(text: str) -> dict[str, Any]:
    return load_mapping(text, "mine.yaml", "give a mapping")


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text)
    said = str(caught.value)
    assert said.startswith("mine.yaml: ")
    assert "\n" not in said
    assert len(said) < 400
    return said.removeprefix("mine.yaml: ")


def test_a_mapping_of_plain_values_is_what_its_text_says() -> None:
    text = """
    name: "a text"
    numbers: [0, -7, 10_000, 2.5, 999999999999999999]
    switches: {on: true, off: false, none: }
    """.replace("on:", "'on':").replace("off:", "'off':")
    assert load(text) == {
        "name": "a text",
        "numbers": [0, -7, 10_000, 2.5, 999_999_999_999_999_999],
        "switches": {"on": True, "off": False, "none": None},
    }
    assert load("\ufeffa: b") == {"a": "b"}  # as Windows' editors begin a file


def test_aliases_and_merge_keys_stand_for_what_they_name() -> None:
    text = """
    first: &first {a: 1, b: [x, y]}
    same: *first
    second: &second {<<: *first, a: 2}
    third: {<<: *second, c: 3}
    both: {<<: [*first, {a: 3, d: 4}]}
    """
    found = load(text)
    assert list(found["second"]) == ["a", "b"]
    assert found == {
        "first": {"a": 1, "b": ["x", "y"]},
        "same": {"a": 1, "b": ["x", "y"]},
        "second": {"a": 2, "b": ["x", "y"]},
        "third": {"a": 2, "b": ["x", "y"], "c": 3},
        "both": {"a": 1, "b": ["x", "y"], "d": 4},
    }


def test_a_mapping_that_is_merged_before_its_turn_has_no_key_twice() -> None:
    assert load("a: {b: {c: &c {<<: {x: 1}, x: 2}}}\nd: {<<: *c}") == {"a": {"b": {"c": {"x": 2}}}, "d": {"x": 2}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' occurs twice; remove one"),
        ("1: a\n'1': b", "line 2: the key '1' occurs twice; remove one"),
        ("a: 2020-01-31", "line 1: 2020-01-31 is a date in YAML; put it in quotes if it is a text"),
        ("a: 2020-13-45", "line 1: 2020-13-45 is a date in YAML; put it in quotes if it is a text"),
        ("a: 010", "line 1: 010 is doubtful as a number; write a whole number in at most 18 decimal digits"),
        ("a: 1:30", "line 1: 1:30 is doubtful as a number"),
        ("a: 0x10", "line 1: 0x10 is doubtful as a number"),
        ("a: 0b1", "line 1: 0b1 is doubtful as a number"),
        ("a: " + "9" * 5000, f"line 1: {'9' * 40} is doubtful as a number"),
        ("yes: a", "line 1: a key is yes; put a text in quotes"),
        ("1.5: a", "line 1: a key is 1.5; put a text in quotes"),
        ("? [a]\n: b", "line 1: a key is a list or a mapping; put a text in quotes"),
        ("a: !!python/name:os.system x", "line 1: the tag !!python/name:os.system means nothing here; leave it out"),
        ("a: !!binary aGk=", "line 1: the tag !!binary means nothing here"),
        ("!mine {a: b}", "line 1: the tag !mine means nothing here"),
        ("a: [&b [1], *b, *c]", "not YAML: line 1: found undefined alias 'c'"),
        ("a: &b [*b]", "line 1: *b stands inside what it stands for; write it out"),
        ("a: &b {<<: *b}", "line 1: *b stands inside what it stands for; write it out"),
        ("a: {<<: 1}", "line 1: << takes the alias of a mapping, or a list of such"),
        ('a: "x\\0"', "line 1: a text holds the control character '\\x00'; remove it"),
        ("a: b\n\nc: \x00", "line 3: '\\x00' is not allowed in YAML; remove it"),
        ("a: b\n\tc: d", "not YAML: line 2: "),
        ("a: b\n---\nc: d", "not YAML: line 2: expected a single document in the stream, but found another document"),
        ("a: =", "not YAML: line 1: could not determine a constructor for the tag"),
        ("- a", "give a mapping"),
        ("", "give a mapping"),
        ("a: [" + "x, " * MAX_NODES + "x]", f"line 1: more than {MAX_NODES} values, with what aliases stand for"),
        ("a: " + "[" * MAX_DEPTH, f"line 1: nested deeper than {MAX_DEPTH}"),
        ("[" * 50_000, f"line 1: nested deeper than {MAX_DEPTH}"),
        ("- " * 40_000, f"line 1: nested deeper than {MAX_DEPTH}"),
        ("a: " + "x" * MAX_CHARACTERS, f"longer than {MAX_CHARACTERS} characters"),
    ],
)
def test_what_would_be_guessed_or_never_ends_is_refused_by_its_line(text: str, words: str) -> None:
    assert refused(text).startswith(words)


def bomb(levels: int) -> str:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(levels)]
    return "\n".join(rows)


def test_an_alias_counts_for_all_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nothing that walks through the values meets more than were allowed; nor are they read to the end."""
    assert len(load(bomb(3))["a2"]) == 10
    seen = []
    get_event = yaml.SafeLoader.get_event
    monkeypatch.setattr(yaml.SafeLoader, "get_event", lambda self: seen.append(get_event(self)) or seen[-1])
    monkeypatch.setattr(yaml.SafeLoader, "construct_document", lambda *_: pytest.fail("something was made of it"))
    for levels in (5, 50, 500):
        seen.clear()
        assert refused(bomb(levels)).startswith(f"line 4: more than {MAX_NODES} values")
        assert len(seen) < 100
    merged = "a0: &a0 {x: 1}\n" + "\n".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)
    )
    assert "more than" in refused(merged)


yamlish = st.text(st.sampled_from("&*!<>:?-[]{},'\"\\abx019.\n\t #|%@~=_+eN\x00\x1bé"), max_size=60)


@given(yamlish)
@example("a: &a {<<: &b [*a]}")
@example("%TAG ! tag:x,2000:\n---\na: !b c")
def test_any_text_is_a_mapping_or_refused_in_one_line(text: str) -> None:
    try:
        found = load(text)
    except InputError as error:
        said = str(error)
        assert said.startswith("mine.yaml: ")
        assert "\n" not in said
    else:
        assert isinstance(found, dict)


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"mine\.yaml: not UTF-8 text, so not YAML"):
        read_text(path)
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # takes no room, and would not fit into memory
    with pytest.raises(InputError, match=rf"mine\.yaml: longer than {MAX_CHARACTERS} characters"):
        read_text(path)
    os.mkfifo(tmp_path / "pipe.yaml")
    for other in (tmp_path, tmp_path / "pipe.yaml"):
        with pytest.raises(InputError, match="not a file, so not YAML"):
            read_text(other)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none.yaml")


def test_a_value_in_a_message_is_short() -> None:
    assert brief(["x", 1]) == "['x', 1]"
    assert brief("x" * 5000) == "'" + "x" * 96 + "..."


def test_one_is_singular() -> None:
    assert [counted(count, "foreground") for count in (0, 1, 2)] == ["0 foregrounds", "1 foreground", "2 foregrounds"]
