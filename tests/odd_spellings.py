"""Texts as nobody writes them in good faith: hidden signs within, quotes and escapes around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

Oddly = tuple[str, str, str]  # what stands before a text, between its letters, and after it

_SIGNS = "a\u200b\u00ad\u202e\ufeff\n\t\"'\\<>&%+=;{}[]|*_`~@#:/?\u00e9\uff21\U0001f600\ud7ff"
_AROUND = st.text(st.sampled_from(_SIGNS), max_size=6)
_BETWEEN = st.sampled_from(["", "\u200b", "\u200d", "\u00ad", "\u2060"])


@st.composite
def odd_spellings(draw: st.DrawFn, fields: Sequence[str]) -> Mapping[str, Oddly]:
    """For some of `fields`, at least one, how its texts are spelled."""
    chosen = draw(st.sets(st.sampled_from(fields), min_size=1))
    return {name: draw(st.tuples(_AROUND, _BETWEEN, _AROUND)) for name in sorted(chosen)}


def spelled_oddly(value: object, oddly: Oddly) -> object:
    """`value` with every text in it spelled so; the names of members stay as they are."""
    before, between, after = oddly
    if isinstance(value, str):
        return before + between.join(value) + after
    if isinstance(value, list):
        return [spelled_oddly(each, oddly) for each in value]
    if isinstance(value, dict):
        return {name: spelled_oddly(inner, oddly) for name, inner in value.items()}
    return value
