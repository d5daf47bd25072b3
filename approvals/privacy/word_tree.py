"""One expression for many words, which reads each sign of a text once."""

from __future__ import annotations

import re
from collections.abc import Iterable


def tree(words: Iterable[str]) -> str:
    """Matches the longest of `words`; common beginnings are joined, as in a tree."""
    known = set(words)
    heads: dict[str, set[str]] = {}
    for word in known - {""}:
        heads.setdefault(word[0], set()).add(word[1:])
    branches = [re.escape(head) + tree(tails) for head, tails in sorted(heads.items())]
    if not branches:
        return ""
    is_end = "" in known
    joined = branches[0] if len(branches) == 1 and not is_end else f"(?:{'|'.join(branches)})"
    return joined + ("?" if is_end else "")


def listed(words: str) -> list[str]:
    """`words` with spaces between, one by one."""
    return words.split()
