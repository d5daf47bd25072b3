"""Reads Lua far enough to find names that were never declared. Knows no scopes: a file is one."""

from __future__ import annotations

import re
from collections.abc import Iterator

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """and break do else elseif end false for function if in local nil not or repeat return
        then true until while""",
    )
)
# Core Lua, the script's inputs, and the two libraries that Redis, Valkey and fakeredis share.
KNOWN = frozenset(
    re.findall(
        r"\w+",
        """ARGV KEYS assert cjson error ipairs math next pairs pcall redis select string table
        tonumber tostring type unpack""",
    )
)
# Missing on some engine, unstable between them, or (cjson.encode) lossy: {} and [] become one.
FORBIDDEN = frozenset({"bit", "cmsgpack", "struct", "cjson.encode", "redis.sha1hex"})

_TOKEN = re.compile(
    r"""--\[(=*)\[.*?\]\1\] | --[^\n]* | \[(=*)\[.*?\]\2\]    # comments and long strings
    | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'                   # strings
    | (?P<keep>[A-Za-z_]\w* | \d[\w.]* | \.{2,3} | [=~<>]= | \S)""",
    re.VERBOSE | re.DOTALL,
)


def first_comment(source: str) -> str:
    """The comment lines a file begins with."""
    found = re.match(r"(?:--[^\n]*\n)+", source)
    return found.group() if found else ""


def undeclared(source: str, prelude: str = "") -> set[str]:
    """Names used as globals that are neither known nor declared in the file or its prelude."""
    tokens = _tokens(source)
    return set(_used(tokens)) - _declared(tokens) - _declared(_tokens(prelude)) - KNOWN


def forbidden(source: str) -> set[str]:
    """Libraries and functions no script here may use."""
    tokens = _tokens(source)
    dotted = {"".join(three) for three in zip(tokens, tokens[1:], tokens[2:], strict=False)}
    return (dotted | set(_used(tokens))) & FORBIDDEN


def _tokens(source: str) -> list[str]:
    return [match["keep"] for match in _TOKEN.finditer(source) if match["keep"]]


def _is_name(token: str) -> bool:
    return (token[0].isalpha() or token[0] == "_") and token not in KEYWORDS


def _declared(tokens: list[str]) -> set[str]:
    """What stands behind `local`, behind `for`, and between a function's parentheses."""
    names: set[str] = set()
    for index, token in enumerate(tokens):
        if token in {"local", "for"}:
            start = index + 1 + (tokens[index + 1] == "function")
            names.update(_list_at(tokens, start))
        elif token == "function":
            names.update(_list_at(tokens, tokens.index("(", index) + 1))
    return names


def _list_at(tokens: list[str], index: int) -> Iterator[str]:
    while _is_name(tokens[index]):
        yield tokens[index]
        if tokens[index + 1] != ",":
            return
        index += 2


def _used(tokens: list[str]) -> Iterator[str]:
    """Names read or written as variables: no fields, no methods, no keys of a table constructor."""
    brackets: list[str] = []
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if token in "({[":
            brackets.append(token)
        elif token in ")}]":
            brackets.pop()
        is_key = after == "=" and brackets[-1:] == ["{"] and before in {"{", ",", ";"}
        if _is_name(token) and before not in {".", ":"} and not is_key:
            yield token
