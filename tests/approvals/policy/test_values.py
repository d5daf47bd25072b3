from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from approvals.policy.values import (
    ChatRetention,
    ExpiresIn,
    GrantTtl,
    Moment,
    PersonalRetention,
    TimeZone,
    duration,
)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
UNITS = st.sampled_from(sorted(SECONDS))
EXPIRES_IN: TypeAdapter[timedelta] = TypeAdapter(ExpiresIn)
LENGTHS: list[tuple[TypeAdapter[timedelta], int, int]] = [
    (EXPIRES_IN, 1, 7 * 86400),
    (TypeAdapter(GrantTtl), 1, 3600),
    (TypeAdapter(ChatRetention), 60, 7 * 86400),
    (TypeAdapter(PersonalRetention), 86400, 3650 * 86400),
]


@given(st.integers(0, 999_999_999), UNITS)
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration(f"{number}{unit}") == timedelta(seconds=number * SECONDS[unit])


@given(st.text() | st.from_regex(r"[-+ ]?[0-9]*[smhdwy ]*", fullmatch=True))
def test_whatever_else_is_no_duration(text: str) -> None:
    if re.fullmatch(r"[0-9]{1,9}[smhd]", text):
        assert duration(text) >= timedelta(0)
    else:
        with pytest.raises(ValueError, match="not a duration"):
            duration(text)


@given(st.integers(0, 999_999_999), UNITS)
def test_a_length_in_the_file_keeps_within_its_range(number: int, unit: str) -> None:
    seconds = number * SECONDS[unit]
    for adapter, least, most in LENGTHS:
        if least <= seconds <= most:
            assert adapter.validate_python(f"{number}{unit}") == timedelta(seconds=seconds)
        else:
            with pytest.raises(ValidationError, match="out of range"):
                adapter.validate_python(f"{number}{unit}")


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers()))
def test_a_length_without_a_unit_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="is not a duration"):
        EXPIRES_IN.validate_python(value)


def test_a_length_may_be_given_in_code() -> None:
    assert EXPIRES_IN.validate_python(timedelta(minutes=1)) == timedelta(minutes=1)


def test_a_moment_is_kept_in_utc() -> None:
    moment = TypeAdapter(Moment).validate_python("2030-01-31T01:00:00+01:00")
    assert moment == datetime(2030, 1, 31, tzinfo=UTC)
    assert moment.tzinfo is UTC


def test_utc_is_a_time_zone_and_gibberish_has_no_near_one() -> None:
    zone: TypeAdapter[str] = TypeAdapter(TimeZone)
    assert zone.validate_python("UTC") == "UTC"
    with pytest.raises(ValidationError) as caught:
        zone.validate_python("§§§§")
    context = caught.value.errors()[0]["ctx"]
    assert context["remedy"] == "Write a name such as Europe/Berlin"
