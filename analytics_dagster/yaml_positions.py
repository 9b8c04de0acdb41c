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
            loader = _Loader(text)
            self._root = loader.get_single_node()
            if self._root is not None:
                _require_unique_keys(self._root)
            self.value: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.YAMLError as error:
            raise YamlProblem(str(error).replace(' in "<unicode string>",', "")) from error
        except RecursionError as error:
            raise YamlProblem("its values are nested too deeply") from error

    def line(self, location: Sequence[int | str]) -> int:
        """Return the line, from 1, of the part at a path of keys and indexes, or of the last of it that there is."""
        node, line = self._root, 1 if self._root is None else self._root.start_mark.line + 1
        for part in location:
            node, found = _step(node, part)
            if node is None:
                break
            line = found
        return line


class _Loader(yaml.SafeLoader):
    """Says on which line a value stands that looks like a date or a number and is none (`2024-13-45`)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as PyYAML has it
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            # PyYAML's own constructors let these through, whatever it is that they can't convert.
            raise YamlProblem(
                f"line {node.start_mark.line + 1}: {node.value!r} can't be taken for the {node.tag.rpartition(':')[2]} "
                "that YAML sees in it; quotes around it make it a text"
            ) from error


def _step(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None, 0


def _require_unique_keys(root: yaml.Node) -> None:
    # Once each: an alias (`*name`) leads to the same node again, even to one that it is itself a part of.
    pending, seen = [root], {id(root)}
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            _require_unique(node)
            parts = [value for _, value in node.value]
        else:
            parts = node.value if isinstance(node, yaml.SequenceNode) else []
        pending += [part for part in parts if id(part) not in seen]
        seen.update(map(id, parts))


def _require_unique(mapping: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise YamlProblem(
                    f"the key {key.value!r} stands twice in one mapping (lines {lines[key.value]} and {line})"
                )
            lines[key.value] = line
