"""YAML that people write: mappings in which no key stands twice."""

from __future__ import annotations

from typing import Any

import yaml

from rssn.errors import InputError


def load_mapping(text: str, source: str, what: str) -> dict[str, Any]:
    """Read a YAML document that is a mapping.

    Args:
        text: The document.
        source: Its file name, for messages.
        what: What it should be, for messages, such as `a recipe is a mapping with at least the key 'name'`.

    Raises:
        InputError: Naming the file, if it is none.
    """
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506  (it is a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two from dates, tags and deep nests
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: {what}")
    return document


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key '{key.value}' stands twice; remove one")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
