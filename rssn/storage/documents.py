"""YAML that people write: small mappings of plain values, bounded before anything is made of them.

What YAML reads otherwise than people mean is refused by its line: a key that occurs twice, a date, 010 (8 in YAML) and
1:30 (90), tags. Aliases and merge keys may be used; they count for what they stand for.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.remote import content

MAX_CHARACTERS: Final = 100_000
MAX_NODES: Final = 10_000
"""Keys, values and lists, each alias counted as what it stands for."""
MAX_DEPTH: Final = 32

_TOO_LONG: Final = f"longer than {MAX_CHARACTERS} characters, so not written by a person; is it another file?"
_SHOWN: Final = 100  # characters
_INT, _DATE, _STR, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "timestamp", "str", "merge"))
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9_]{0,17})")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_text(path: Location) -> str:
    """The text of a file or an object that a person wrote.

    Raises:
        FileNotFoundError: If there is none.
        InputError: Naming the file, if it is no text, or far too long for one.
        RemoteError: If the bucket does not give it.
    """
    if isinstance(path, Path) and path.exists() and not path.is_file():
        raise InputError(f"{path}: not a file, so not YAML")
    try:
        data = content(path, 4 * MAX_CHARACTERS)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise InputError(f"{path}: {_TOO_LONG}") from error
        raise
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text, so not YAML") from error


def counted(count: int, unit: str) -> str:
    """So many of something, which is given in the singular and takes an s in the plural."""
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def brief(value: object) -> str:
    """A value of a document, for messages: what is long is cut."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


def load_mapping(text: str, source: str, what: str) -> dict[str, Any]:
    """Read a YAML document that is a mapping.

    Args:
        text: The document.
        source: Its file name, for messages.
        what: What it should be, for messages, such as `a recipe is a mapping with at least the key 'name'`.

    Returns:
        Text, whole numbers of at most 18 digits, floats, booleans and None, in lists and mappings with keys of text or
        whole numbers; at most `MAX_NODES` of them, `MAX_DEPTH` deep.

    Raises:
        InputError: Naming the file and the line, if it is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{source}: {_TOO_LONG}")
    try:
        document = yaml.load(text, _Bounded)  # noqa: S506  (it is a SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{source}: line {line}: {text[error.position]!r} is not allowed in YAML; remove it"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        tab = "; indent with spaces" if "'\\t'" in words else ""
        raise InputError(f"{source}: not YAML: line {mark.line + 1 if mark else 1}: {words}{tab}") from error
    except _RefusedError as error:
        raise InputError(f"{source}: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: {what}")
    return document


class _RefusedError(yaml.YAMLError):
    """It is YAML, and none that we read."""

    def __init__(self, where: yaml.Event | yaml.Node, words: str) -> None:
        super().__init__(f"line {where.start_mark.line + 1 if where.start_mark else 1}: {words}")


class _Bounded(yaml.SafeLoader):
    """Refuses while it reads: at most `MAX_NODES` nodes are ever visited, whatever stands in the text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}  # of the nodes that are whole

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if tag := getattr(event, "tag", None):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise _RefusedError(event, f"the tag {shown} means nothing here; leave it out")
        before, self._count, self._depth = self._count, self._count + 1, self._depth + 1
        if self._depth > MAX_DEPTH:
            raise _RefusedError(event, f"nested deeper than {MAX_DEPTH}; no key here needs that")
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _RefusedError(event, f"*{event.anchor} stands inside what it stands for; write it out")
            self._count += self._sizes[node]
        elif node is not None:
            self._sizes[node] = self._count - before
        if self._count > MAX_NODES:
            raise _RefusedError(event, f"more than {MAX_NODES} values, with what aliases stand for; write fewer")
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if found := _CONTROL.search(node.value):
            raise _RefusedError(node, f"a text holds the control character {found[0]!r}; remove it")
        if node.tag == _DATE:
            raise _RefusedError(node, f"{node.value} is a date in YAML; put it in quotes if it is a text")
        if node.tag == _INT and not _PLAIN_INT.fullmatch(node.value):
            words = "write a whole number in at most 18 decimal digits, without zeros before it, or a text in quotes"
            raise _RefusedError(node, f"{node.value[:40]} is doubtful as a number; {words}")
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in (_STR, _INT, _MERGE):
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise _RefusedError(key, f"a key is {shown}; put a text in quotes")
            if key.value in seen:  # PyYAML takes the last and says nothing
                raise _RefusedError(key, f"the key '{key.value}' occurs twice; remove one")
            seen.add(key.value)
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in _merged(node):
            pairs.setdefault(key.value, (key, value))
        pairs |= {key.value: (key, value) for key, value in node.value if key.tag != _MERGE}
        node.value = list(pairs.values())
        return node


def _merged(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """What `<<` brings into a mapping, the first of several before the others (PyYAML 6.0.3 mixes up short keys)."""
    for key, value in node.value:
        if key.tag == _MERGE:
            for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(one, yaml.MappingNode):
                    raise _RefusedError(key, "<< takes the alias of a mapping, or a list of such")
                yield from one.value
