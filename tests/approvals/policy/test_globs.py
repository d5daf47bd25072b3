from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policy.globs import matches, matches_any

PATTERNS = st.text(alphabet="ab*", max_size=6)
NAMES = st.text(alphabet="ab", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("customer.read", "customer.read", True),
        ("customer.read", "customer.reads", False),
        ("customer.*", "customer.read", True),
        ("customer.*", "Customer.read", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("*b*a", "ab", False),
        ("a*b*a", "aca", False),
        ("[ab]?", "[ab]?", True),
        ("[ab]?", "ax", False),
    ],
)
def test_a_star_is_the_only_wildcard(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(PATTERNS, NAMES)
def test_a_pattern_fits_as_its_regular_expression_does(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert matches(pattern, name) is (re.fullmatch(expression, name) is not None)


def test_one_of_several_patterns_is_enough() -> None:
    assert matches_any(("a", "b*"), "bc")
    assert not matches_any((), "bc")


def test_a_pattern_of_many_stars_ends_soon() -> None:
    assert not matches("*a" * 500 + "*b", "a" * 20_000)
