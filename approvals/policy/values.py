"""The kinds of value in the configuration: durations, names, texts, globs. Knows no file.

Each refuses with a `fault`: a plain message and a remedy, which `shapes.py` puts to its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr
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


def _within(most: timedelta, words: str) -> Callable[[object], timedelta]:
    def check(value: object) -> timedelta:
        try:
            length = value if isinstance(value, timedelta) else duration(str(value))
        except ValueError:
            remedy = "Write a whole number and a unit: 30s, 15m, 2h or 7d"
            raise fault("is not a duration", remedy) from None
        if not _SECOND <= length <= most:
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
    except ValueError:
        raise fault("is not a time", "Write it as 2027-01-31T00:00:00Z") from None
    if moment.tzinfo is None:
        raise fault("has no time zone", "Add one, such as the Z of 2027-01-31T00:00:00Z")
    return moment.astimezone(UTC)


def _time_zone(name: str) -> str:
    # UTC is known everywhere, also where the system holds no table of time zones.
    zones = available_timezones() | {"UTC"}
    if name not in zones:
        close = nearest(name, zones)
        remedy = f"Did you mean `{close}`?" if close else "Write a name such as Europe/Berlin"
        raise fault("is not a time zone", remedy)
    return name


ExpiresIn = Annotated[timedelta, BeforeValidator(_within(timedelta(days=7), "1s to 7d"))]
GrantTtl = Annotated[timedelta, BeforeValidator(_within(timedelta(minutes=60), "1s to 60m"))]
Moment = Annotated[datetime, BeforeValidator(_moment)]
TimeZone = Annotated[StrictStr, AfterValidator(_time_zone)]

Count = Annotated[StrictInt, Field(ge=1, le=20)]
Flag = StrictBool
Word = Annotated[StrictStr, AfterValidator(_text(200))]
Title = Annotated[StrictStr, AfterValidator(_text(150))]
Sentence = Annotated[StrictStr, AfterValidator(_text(500))]
Paragraph = Annotated[StrictStr, AfterValidator(_text(2000))]

_NAME = "Use letters, digits and . _ - only, 100 at most, a letter or digit first"
Name = Annotated[StrictStr, AfterValidator(_shaped(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", _NAME))]
_ACTION = "Use letters, digits and . _ : / - only, 100 at most, a letter or digit first"
ActionName = Annotated[
    StrictStr, AfterValidator(_shaped(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}", _ACTION))
]
_LIST = (
    "Begin with a capital, then capitals, digits and _ only, 40 at most: EEA, SPECIAL_CATEGORIES"
)
ListName = Annotated[StrictStr, AfterValidator(_shaped(r"[A-Z][A-Z0-9_]{0,39}", _LIST))]
_PERSON = "Use letters, digits and . _ @ + - only, 100 at most, a letter or digit first"
PersonName = Annotated[
    StrictStr, AfterValidator(_shaped(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}", _PERSON))
]
_KEY = "Use lower-case letters, digits and - only, 40 at most"
KeyName = Annotated[StrictStr, AfterValidator(_shaped(r"[a-z0-9-]{1,40}", _KEY))]
_HASH = "Write sha256: and the 64 lower-case hex digits of the whole API key's SHA-256"
KeyHash = Annotated[StrictStr, AfterValidator(_shaped(r"sha256:[0-9a-f]{64}", _HASH))]
_ENVIRONMENT = "Write the name of an environment variable: A to Z, digits and _, never the secret"
EnvironmentName = Annotated[
    StrictStr, AfterValidator(_shaped(r"[A-Z_][A-Z0-9_]{0,99}", _ENVIRONMENT))
]
