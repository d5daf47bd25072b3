"""Putting one key entry into the text of services.yaml, all else byte for byte as it was.

Finds a place and no more: whether the result says what it should is for the caller to verify.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode


class NoPlace(Exception):
    """The text has no place that is sure to be right."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as services.yaml holds it."""

    id: str
    hash: str
    not_after: str | None = None

    def data(self) -> dict[str, str]:
        """As plain data."""
        end = {"not_after": self.not_after} if self.not_after else {}
        return {"id": self.id, "hash": self.hash, **end}

    def text(self) -> str:
        """As YAML on one line."""
        end = f', not_after: "{self.not_after}"' if self.not_after else ""
        return f'{{id: {self.id}, hash: "{self.hash}"{end}}}'


def with_key(text: str, service: str, entry: Entry) -> str:
    """`text` with the entry after the service's other keys. Raises `NoPlace`."""
    try:
        # The loader in Python, not in C: its marks count characters of this very text.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise NoPlace from None
    owner = _child(_child(root, "services"), service)
    if not isinstance(owner, MappingNode):
        raise NoPlace
    keys = _child(owner, "keys")
    if keys is None:
        return _with_first_key(text, owner, entry)
    if not isinstance(keys, SequenceNode):
        raise NoPlace
    if keys.flow_style:
        return _in_brackets(text, keys, entry)
    return _below(text, keys, entry)


def _with_first_key(text: str, owner: MappingNode, entry: Entry) -> str:
    if owner.flow_style:
        return _inserted(text, owner.start_mark.index + 1, f"keys: [{entry.text()}], ")
    at = owner.start_mark
    margin = " " * at.column
    newline = _newline(text)
    lines = f"keys:{newline}{margin}  - {entry.text()}{newline}{margin}"
    return _inserted(text, at.index, lines)


def _in_brackets(text: str, keys: SequenceNode, entry: Entry) -> str:
    if not keys.value:
        return _inserted(text, keys.start_mark.index + 1, entry.text())
    return _inserted(text, keys.value[-1].end_mark.index, f", {entry.text()}")


def _below(text: str, keys: SequenceNode, entry: Entry) -> str:
    last = _end(keys)
    newline = _newline(text)
    margin = " " * keys.start_mark.column
    line_end = text.find("\n", last)
    if line_end < 0:
        return f"{text}{newline}{margin}- {entry.text()}{newline}"
    return _inserted(text, line_end + 1, f"{margin}- {entry.text()}{newline}")


def _end(node: Node) -> int:
    """Where the node's own text ends; a block's mark would stand behind the comments after it."""
    if isinstance(node, MappingNode) and not node.flow_style:
        return _end(node.value[-1][1])
    if isinstance(node, SequenceNode) and not node.flow_style:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _child(node: Node | None, name: str) -> Node | None:
    if not isinstance(node, MappingNode):
        raise NoPlace
    found = [value for key, value in node.value if key.value == name]
    return found[0] if found else None


def _inserted(text: str, index: int, addition: str) -> str:
    return text[:index] + addition + text[index:]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
