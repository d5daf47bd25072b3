"""A request as sent: every limit at both ends, every fault by its place and never by its value."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import JsonValue

from approvals.ask import Ask, reason_text
from approvals.errors import InvalidRequest

Sent = dict[str, JsonValue]
LEAST: Sent = {
    "action": "users.export",
    "requester": {"id": "okta:00u1"},
    "justification": "Customer asked for a copy",
}
CANARY = "dana@example.com"


def parse(**changes: JsonValue) -> Ask:
    return Ask.parse(LEAST | changes)


def findings(sent: Sent) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        Ask.parse(sent)
    assert CANARY not in refused.value.detail
    return [(finding.pointer, finding.message) for finding in refused.value.findings]


def test_three_fields_are_enough() -> None:
    ask = parse()
    assert ask.requester.id == "okta:00u1"
    assert (ask.subject, ask.expires_in, ask.reuse_pending, ask.params) == (None, None, False, {})


def test_every_field_is_taken() -> None:
    ask = parse(
        requester={"id": "okta:00u1", "name": "Jonas Berg"}, ticket="ZD-48213", purpose="support",
        subject="customer:48213", record_count=1240, data_classes=["contact"],
        params={"format": "csv", "fields": ["email"]}, context={"geo.country": "DE"},
        expires_in=900, grant_ttl=600, reuse_pending=True, callback_url="https://crm.example/p",
    )  # fmt: skip
    assert ask.requester.name == "Jonas Berg"
    assert (ask.expires_in, ask.grant_ttl) == (timedelta(minutes=15), timedelta(minutes=10))
    assert ask.data_classes == ("contact",)
    assert ask.reuse_pending


ENDS: list[tuple[str, JsonValue]] = [
    ("action", "a"),
    ("action", "a" * 200),
    ("justification", "j" * 20),
    ("justification", "ü" * 500),
    ("justification", "one line\nand another line"),
    ("justification", "👍" * 20),
    ("justification", " " * 9_000 + "j" * 20 + "\n" * 9_000),
    ("justification", "👍🏽 ❤️ 🧑‍⚖️ 🇩🇪 " + "j" * 10),
    ("justification", "ग्राहक ने अपने डेटा की प्रति मांगी"),
    ("justification", "客户要求提供其数据的副本、以便核对账单与地址。"),
    ("justification", " " * 1900 + "j" * 100),
    ("justification", " " * 9 + "j" * 500 + "\n"),
    ("ticket", "t" * 200),
    ("purpose", "p" * 200),
    ("subject", "客" * 200),
    ("record_count", 0),
    ("record_count", 2**53 - 1),
    ("data_classes", []),
    ("data_classes", ["c"] * 20),
    ("params", {}),
    ("params", {f"p{n}": n for n in range(20)}),
    ("params", {"one": {f"p{n}": n for n in range(40)}}),
    ("expires_in", 1),
    ("expires_in", 604800),
    ("grant_ttl", 1),
    ("grant_ttl", 3600),
    ("callback_url", "h"),
    ("callback_url", "h" * 2048),
]


@pytest.mark.parametrize(("field", "value"), ENDS)
def test_what_lies_on_a_limit_is_taken(field: str, value: JsonValue) -> None:
    parse(**{field: value})


LENGTH = "needs 20 to 500 characters; say in a sentence why the data is needed"
TOO_LONG = "holds more than 200 characters; shorten it"
EXPIRY = "must be whole seconds, 1 to 604800 (7 days)"
TTL = "must be whole seconds, 1 to 3600 (60 minutes)"
FAULTS: list[tuple[str, JsonValue, str, str]] = [
    ("action", "", "/action", "must not be empty"),
    ("action", "  ", "/action", "must not be empty"),
    ("action", "a" * 201, "/action", TOO_LONG),
    ("action", "a" + " " * 2000 + "a", "/action", TOO_LONG),
    ("action", 7, "/action", "must be text"),
    ("action", None, "/action", "must be text"),
    ("requester", "okta:00u1", "/requester", "must be an object"),
    ("requester", {}, "/requester/id", "is required"),
    ("requester", {"id": ""}, "/requester/id", "must not be empty"),
    ("requester", {"id": "a", "name": 5}, "/requester/name", "must be text"),
    ("requester", {"id": "a", "nmae": CANARY}, "/requester/nmae",
     "is not a known field; did you mean name?"),
    ("justification", "j" * 19, "/justification", LENGTH),
    ("justification", "j" * 501, "/justification", LENGTH),
    ("justification", "j" + " " * 30, "/justification", LENGTH),
    ("justification", ["j" * 20], "/justification", "must be text"),
    ("justification", "j" + " " * 1999 + "j", "/justification", LENGTH),
    ("justification", "\0" + "j" * 20, "/justification",
     "holds U+0000, which a reader cannot see; remove it"),
    ("justification", "\u2800" * 30, "/justification",
     "holds U+2800, which a reader cannot see; remove it"),
    ("justification", "j" * 30 + "\u0301" * 9, "/justification",
     "holds more than 4 combining marks in a row; remove some"),
    ("justification", f"{CANARY} asked \u202e for it", "/justification",
     "holds U+202E, which a reader cannot see; remove it"),
    ("ticket", "two\nlines", "/ticket", "holds U+000A, which a reader cannot see; remove it"),
    ("ticket", "t" * 201, "/ticket", TOO_LONG),
    ("purpose", False, "/purpose", "must be text"),
    ("subject", "s" * 201, "/subject", TOO_LONG),
    ("subject", "\u200b", "/subject", "holds U+200B, which a reader cannot see; remove it"),
    ("record_count", -1, "/record_count", "must not be negative"),
    ("record_count", 2**53, "/record_count", "is too large"),
    ("record_count", 10**40, "/record_count", "is too large"),
    ("record_count", 1.0, "/record_count", "must be a whole number"),
    ("record_count", "1", "/record_count", "must be a whole number"),
    ("record_count", True, "/record_count", "must be a whole number"),
    ("data_classes", "contact", "/data_classes", "must be a list"),
    ("data_classes", ["c"] * 21, "/data_classes", "holds too many items"),
    ("data_classes", ["c", 5], "/data_classes/1", "must be text"),
    ("data_classes", ["c", ""], "/data_classes/1", "must not be empty"),
    ("params", [], "/params", "must be an object"),
    ("params", {f"{CANARY}{n}": n for n in range(21)}, "/params",
     "holds more than 20 top-level keys"),
    ("context", "DE", "/context", "must be an object"),
    ("expires_in", 0, "/expires_in", EXPIRY),
    ("expires_in", 604801, "/expires_in", EXPIRY),
    ("expires_in", True, "/expires_in", EXPIRY),
    ("expires_in", 1.0, "/expires_in", EXPIRY),
    ("expires_in", "PT15M", "/expires_in", EXPIRY),
    ("expires_in", 10**30, "/expires_in", EXPIRY),
    ("grant_ttl", 0, "/grant_ttl", TTL),
    ("grant_ttl", 3601, "/grant_ttl", TTL),
    ("reuse_pending", 1, "/reuse_pending", "must be true or false"),
    ("reuse_pending", "true", "/reuse_pending", "must be true or false"),
    ("reuse_pending", None, "/reuse_pending", "must be true or false"),
    ("callback_url", "", "/callback_url", "must not be empty"),
    ("callback_url", "h" * 2049, "/callback_url", "is too long"),
    ("callback_url", 5, "/callback_url", "must be text"),
    ("acton", CANARY, "/acton", "is not a known field; did you mean action?"),
    ("zzz", CANARY, "/zzz", "is not a known field; remove it"),
    (CANARY, CANARY, "", "is not a known field; remove it"),
    ("a/b~c", 1, "", "is not a known field; remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "pointer", "message"), FAULTS)
def test_a_fault_is_told_by_its_place_and_without_its_value(
    field: str, value: JsonValue, pointer: str, message: str
) -> None:
    assert findings(LEAST | {field: value}) == [(pointer, message)]


@pytest.mark.parametrize("field", LEAST)
def test_a_required_field_is_missed(field: str) -> None:
    sent = {name: value for name, value in LEAST.items() if name != field}
    assert findings(sent) == [(f"/{field}", "is required")]


def test_all_faults_are_told_at_once() -> None:
    told = findings({"action": "", "justification": "short", "expires_in": 0, "extra": CANARY})
    assert [pointer for pointer, _ in told] == [
        "/action", "/requester", "/justification", "/expires_in", "/extra",
    ]  # fmt: skip


def test_an_unpaired_surrogate_is_refused() -> None:
    ((pointer, _),) = findings(LEAST | {"subject": "\ud800"})
    assert pointer == "/subject"


def test_texts_are_kept_as_normalised() -> None:
    ask = parse(
        subject=" \uff43ustomer:48213 ", justification="  \uff23ustomer asked for a copy\r\nof it "
    )
    assert ask.subject == "customer:48213"
    assert ask.justification == "Customer asked for a copy\nof it"


def test_a_sent_request_can_be_written_down_as_it_was_sent() -> None:
    written = parse(expires_in=900, grant_ttl=600).model_dump(mode="json", exclude_defaults=True)
    assert written == {**LEAST, "expires_in": 900, "grant_ttl": 600}


def test_the_schema_tells_seconds_as_whole_numbers_with_their_ends() -> None:
    schema = Ask.model_json_schema()["properties"]
    assert {"type": "integer", "minimum": 1, "maximum": 604800} in schema["expires_in"]["anyOf"]
    assert {"type": "integer", "minimum": 1, "maximum": 3600} in schema["grant_ttl"]["anyOf"]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        (" No \r\nneed ", "No \nneed"),
        ("r" * 500, "r" * 500),
    ],
)
def test_a_reason_is_normalised_and_an_empty_one_is_none(
    reason: str | None, kept: str | None
) -> None:
    assert reason_text(reason) == kept


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("r" * 501, "holds more than 500 characters; shorten it"),
        ("r" + " " * 2000 + "r", "holds more than 500 characters; shorten it"),
        ("no\u200b", "holds U+200B, which a reader cannot see; remove it"),
    ],
)
def test_a_reason_out_of_bounds_is_refused_at_its_place(reason: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        reason_text(reason)
    assert [(f.pointer, f.message) for f in refused.value.findings] == [("/reason", message)]


def refused(sent: Sent) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        Ask.parse(sent)
    return caught.value


def test_the_detail_counts_the_faults_and_does_not_repeat_them() -> None:
    assert refused({**LEAST, "action": "", "ticket": 5, "purpose": 5}).detail == (
        "3 fields are wrong; see errors."
    )


def test_the_detail_tells_a_single_fault_itself() -> None:
    assert refused({**LEAST, "ticket": 5}).detail == "/ticket: must be text."


def test_after_twenty_faults_the_rest_is_only_counted() -> None:
    error = refused({**LEAST, **{f"unknown_{n}": 1 for n in range(3000)}})
    assert len(error.findings) == 20
    assert error.findings[-1].message == "is not a known field; remove it (and 2980 more faults)"
    assert "more faults" not in error.findings[-2].message
    assert error.detail == "3000 fields are wrong; see errors."


def test_twenty_faults_are_told_as_they_are() -> None:
    error = refused({**LEAST, **{f"unknown_{n}": 1 for n in range(20)}})
    assert [f.message for f in error.findings] == ["is not a known field; remove it"] * 20


def test_only_the_first_five_unknown_fields_get_a_hint() -> None:
    told = findings({**LEAST, **{f"action{n}": 1 for n in range(8)}})
    assert ["did you mean" in message for _, message in told] == [True] * 5 + [False] * 3


def test_a_long_name_gets_no_hint() -> None:
    ((_, message),) = findings({**LEAST, "callback_url" + "l" * 29: 1})
    assert message == "is not a known field; remove it"
    ((_, message),) = findings({**LEAST, "requester": {"id": "a", "n" * 30000: 1}})
    assert message == "is not a known field; remove it"


def test_marks_without_end_are_refused_before_they_are_sorted() -> None:
    # Normalising sorts runs of marks in quadratic time: these took a fifth of a second.
    sent = "a" + "\u0301\u0316" * 8000
    assert findings({**LEAST, "justification": sent}) == [("/justification", LENGTH)]
    assert findings({**LEAST, "subject": sent}) == [("/subject", TOO_LONG)]
