"""Patterns over names in which `*` stands for any text and nothing else is special."""

from __future__ import annotations

from functools import lru_cache


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` fits all of `name`. Linear, so that no name can make it run away."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    last = others.pop()
    if len(name) < len(first) + len(last):
        return False
    if not (name.startswith(first) and name.endswith(last)):
        return False
    place, end = len(first), len(name) - len(last)
    for piece in others:
        found = name.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


@lru_cache(maxsize=8192)
def matches_any(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of `patterns` fits `name`. Every request asks this of every rule."""
    return any(matches(pattern, name) for pattern in patterns)
