"""A YAML text that knows on which line each of its values stands, for errors that lead to the place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


class YamlProblem(Exception):  # noqa: N818 - what is wrong with a text, told by who read it
    """The text is no YAML, or a mapping in it has a key twice."""


class LocatedYaml:
    """The value of one YAML document, and the lines of its parts.

    Raises `YamlProblem` on what is no YAML, and on a key that a mapping has twice, of which YAML's own loader would
    silently take the last.
    """

    def __init__(self, text: str) -> None:
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.value: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise YamlProblem(str(error)) from error
        if self._root is not None:
            _require_unique_keys(self._root)

    def line(self, location: Sequence[int | str]) -> int:
        """Return the line, from 1, of the part at a path of keys and indexes, or of the last of it that there is."""
        node, line = self._root, 1 if self._root is None else self._root.start_mark.line + 1
        for part in location:
            node, found = _step(node, part)
            if node is None:
                break
            line = found
        return line


def _step(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None, 0


def _require_unique_keys(node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise YamlProblem(
                        f"the key {key.value!r} stands twice in one mapping (line {key.start_mark.line + 1})"
                    )
                seen.add(key.value)
            _require_unique_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(item)
