"""No context, however malformed or incomplete, turns a denial or a review into an approval."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from approvals.ask import Ask
from approvals.errors import InvalidRequest
from approvals.intake import Chance, prepare, request_id
from approvals.model import Caller, KeyId, MatchedPolicy, ServiceId
from approvals.policy.loader import Configuration, load_configuration
from approvals.privacy.scanner import Scanner
from approvals.signing import Marks
from tests.approvals.samples import NOW
from tests.configurations import ask, write_configuration
from tests.words import KEY

POLICY = """\
version: 1
lists: {EEA: [DE, FR], BLOCKED: [XA], SPECIAL: [health]}
defaults: {on_no_match: review, on_error: review, groups: [privacy]}
actions:
  customer.view: {title: Open one customer profile, data_classes: [contact]}
  report.read: {title: Read the monthly report}
rules:
  - id: small-and-safe
    when: device.managed && geo.country in EEA && request.record_count < 10
    then: {decision: approve}
  - {id: blocked, when: geo.country in BLOCKED, then: {decision: deny}}
  - id: special
    when: request.data_classes.exists(c, c in SPECIAL)
    then: {decision: deny}
  - {id: anything, then: {decision: review}}
"""


def _loaded() -> Configuration:
    with tempfile.TemporaryDirectory() as directory:
        write_configuration(Path(directory), policy=POLICY)
        return load_configuration(Path(directory))


CONFIGURATION = _loaded()
NAMES = st.sampled_from(
    [
        "geo.country",
        "device.managed",
        "device.type",
        "requester.roles",
        "geo.contry",
        "service",
        "now",
        "client.ip",
        "request.record_count",
    ]
)
VALUES = st.one_of(
    st.sampled_from(["DE", "XA", "de", True, False, 1, "true", None, [], ["DE"]]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
CONTEXTS: st.SearchStrategy[dict[str, JsonValue]] = st.dictionaries(NAMES | st.text(), VALUES)
COUNTS: st.SearchStrategy[JsonValue] = st.sampled_from([None, 0, 5, 10, -1, True, "5", 5.0, 2**60])
CLASSES: st.SearchStrategy[JsonValue] = st.sampled_from(
    [None, [], ["health"], ["contact"], "health"]
)


def _decided(sent: dict[str, object], service: str = "crm") -> MatchedPolicy | None:
    """What policy says; None where the request is refused."""
    try:
        return prepare(
            CONFIGURATION,
            Caller(service=ServiceId(service), key_id=KeyId(f"{service}-1")),
            Ask.parse(json.loads(json.dumps(sent))),
            now=NOW,
            marks=Marks(b"p" * 32),
            key=KEY,
            scanner=Scanner(),
            body=b"{}",
            chance=Chance(id=request_id(NOW, b"i" * 10), salt=b"s" * 16),
        ).policy
    except InvalidRequest:
        return None


@given(CONTEXTS, COUNTS, CLASSES)
def test_only_what_is_known_and_well_formed_is_approved(
    context: dict[str, JsonValue], count: JsonValue, classes: JsonValue
) -> None:
    matched = _decided(ask(context=context, record_count=count, data_classes=classes))
    is_safe = (
        context.get("device.managed") is True
        and context.get("geo.country") in ("DE", "FR")
        and type(count) is int
        and 0 <= count < 10
        and classes != ["health"]
    )
    if matched is not None and matched.decision == "approve":
        assert is_safe
    if matched is not None and context.get("geo.country") == "XA":
        assert matched.decision == "deny"


SAFE = {"device.managed": True, "geo.country": "DE"}


def test_what_is_known_and_well_formed_is_approved() -> None:
    matched = _decided(ask(context=SAFE, record_count=5))
    assert matched is not None
    assert matched.decision == "approve"


@given(st.sets(st.sampled_from(["device.managed", "geo.country", "record_count"]), min_size=1))
def test_what_is_left_out_takes_the_approval_away(left_out: set[str]) -> None:
    context = {name: value for name, value in SAFE.items() if name not in left_out}
    count = None if "record_count" in left_out else 5
    matched = _decided(ask(context=context, record_count=count))
    assert matched is not None
    assert matched.decision == "review"


def test_what_the_service_may_not_assert_is_decided_as_if_it_were_not_there() -> None:
    claimed = _decided(ask(context=SAFE, record_count=5), service="billing")
    assert claimed == _decided(ask(record_count=5), service="billing")
    assert claimed is not None
    assert claimed.decision == "review"
