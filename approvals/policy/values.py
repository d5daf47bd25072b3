"""The kinds of value in the configuration: durations, names, texts, globs. Knows no file.

Each refuses with a `fault`: a plain message and a remedy, which `shapes.py` puts to its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from approvals.policy.issues import nearest
from approvals.text import UnseenCharacter, readable

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SECOND = timedelta(seconds=1)


def fault(message: str, remedy: str) -> PydanticCustomError:
    """A refusal whose words reach the person who wrote the file."""
    return PydanticCustomError("fault", "{message}", {"message": message, "remedy": remedy})


def not_carried_out(what: str, remedy: str) -> PydanticCustomError:
    """The refusal of what the contract knows and this version does not do yet."""
    return fault(f"{what}, which is not carried out by this version", remedy)


def duration(text: str) -> timedelta:
    """`30s`, `15m`, `2h` or `7d` as a timedelta. Raises `ValueError` for anything else."""
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise ValueError("not a duration")
    return int(parts[1]) * _UNITS[parts[2]]


def written(length: timedelta) -> str:
    """A timedelta as files have it: `90s`, `15m`, in the largest unit that loses nothing."""
    unit = next((one for one in reversed(_UNITS) if not length % _UNITS[one]), None)
    # Files know no parts of a second, and nothing else makes lengths.
    return f"{length // _UNITS[unit]}{unit}" if unit and length else f"{length.total_seconds():g}s"


def _within(
    most: timedelta, words: str, *, least: timedelta = _SECOND
) -> Callable[[object], timedelta]:
    def check(value: object) -> timedelta:
        try:
            length = value if isinstance(value, timedelta) else duration(str(value))
        except ValueError:
            remedy = "Write a whole number and a unit: 30s, 15m, 2h or 7d"
            raise fault("is not a duration", remedy) from None
        if not least <= length <= most:
            raise fault("is out of range", f"Write a duration of {words}")
        return length

    return check


def _text(most: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            tidy = readable(value)
        except UnseenCharacter as error:
            raise fault(str(error).partition(";")[0], "Remove it") from None
        if not 1 <= len(tidy) <= most:
            raise fault("has the wrong length", f"Write 1 to {most} characters")
        return tidy

    return check


def _schema(**more: object) -> WithJsonSchema:
    """What an editor can check of a value; the rest is told when the file is read."""
    return WithJsonSchema({"type": "string", **more})


def _pattern(form: str) -> WithJsonSchema:
    return _schema(pattern=f"^{form}$")


def _shaped(pattern: str, remedy: str) -> Callable[[str], str]:
    shape = re.compile(pattern)

    def check(value: str) -> str:
        # The value is not repeated: a secret pasted into the wrong place must not reach a log.
        if shape.fullmatch(value) is None:
            raise fault("is not written as it must be", remedy)
        return value

    return check


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
        in_utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise fault("is not a time", "Write it as 2027-01-31T00:00:00Z") from None
    if moment.tzinfo is None:
        raise fault("has no time zone", "Add one, such as the Z of 2027-01-31T00:00:00Z")
    return in_utc


def _time_zone(name: str) -> str:
    # UTC is known everywhere, also where the system holds no table of time zones.
    zones = available_timezones() | {"UTC"}
    if name not in zones:
        close = nearest(name, zones)
        remedy = f"Did you mean `{close}`?" if close else "Write a name such as Europe/Berlin"
        raise fault("is not a time zone", remedy)
    return name


_LENGTH = _schema(pattern="^[0-9]{1,9}[smhd]$")
ExpiresIn = Annotated[timedelta, BeforeValidator(_within(timedelta(days=7), "1s to 7d")), _LENGTH]
GrantTtl = Annotated[
    timedelta, BeforeValidator(_within(timedelta(minutes=60), "1s to 60m")), _LENGTH
]
_CHAT = _within(timedelta(days=7), "1m to 7d", least=timedelta(minutes=1))
ChatRetention = Annotated[timedelta, BeforeValidator(_CHAT), _LENGTH]
_PERSONAL = _within(timedelta(days=3650), "1d to 3650d", least=timedelta(days=1))
PersonalRetention = Annotated[timedelta, BeforeValidator(_PERSONAL), _LENGTH]
Moment = Annotated[datetime, BeforeValidator(_moment)]
TimeZone = Annotated[StrictStr, AfterValidator(_time_zone)]

Count = Annotated[StrictInt, Field(ge=1, le=20)]
Often = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Flag = StrictBool
Word = Annotated[StrictStr, AfterValidator(_text(200)), _schema(minLength=1)]
Title = Annotated[StrictStr, AfterValidator(_text(150)), _schema(minLength=1)]
Sentence = Annotated[StrictStr, AfterValidator(_text(500)), _schema(minLength=1)]
Paragraph = Annotated[StrictStr, AfterValidator(_text(2000)), _schema(minLength=1)]

_NAME = "Use letters, digits and . _ - only, 100 at most, a letter or digit first"
_NAME_FORM = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
Name = Annotated[StrictStr, AfterValidator(_shaped(_NAME_FORM, _NAME)), _pattern(_NAME_FORM)]
_ACTION = "Use letters, digits and . _ : / - only, 100 at most, a letter or digit first"
_ACTION_FORM = r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}"
ActionName = Annotated[
    StrictStr, AfterValidator(_shaped(_ACTION_FORM, _ACTION)), _pattern(_ACTION_FORM)
]
_LIST = (
    "Begin with a capital, then capitals, digits and _ only, 40 at most: EEA, SPECIAL_CATEGORIES"
)
_LIST_FORM = r"[A-Z][A-Z0-9_]{0,39}"
ListName = Annotated[StrictStr, AfterValidator(_shaped(_LIST_FORM, _LIST)), _pattern(_LIST_FORM)]
_PERSON = "Use letters, digits and . _ @ + - only, 100 at most, a letter or digit first"
_PERSON_FORM = r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}"
PersonName = Annotated[
    StrictStr, AfterValidator(_shaped(_PERSON_FORM, _PERSON)), _pattern(_PERSON_FORM)
]
_KEY = "Use lower-case letters, digits and - only, 40 at most"
_KEY_FORM = r"[a-z0-9-]{1,40}"
KeyName = Annotated[StrictStr, AfterValidator(_shaped(_KEY_FORM, _KEY)), _pattern(_KEY_FORM)]
_HASH = "Write sha256: and the 64 lower-case hex digits of the whole API key's SHA-256"
_HASH_FORM = r"sha256:[0-9a-f]{64}"
KeyHash = Annotated[StrictStr, AfterValidator(_shaped(_HASH_FORM, _HASH)), _pattern(_HASH_FORM)]
_ENVIRONMENT = "Write the name of an environment variable: A to Z, digits and _, never the secret"
_ENVIRONMENT_FORM = r"[A-Z_][A-Z0-9_]{0,99}"
EnvironmentName = Annotated[
    StrictStr, AfterValidator(_shaped(_ENVIRONMENT_FORM, _ENVIRONMENT)), _pattern(_ENVIRONMENT_FORM)
]
