"""A made-up company: its three files, and bodies of 1,024 bytes that all differ."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from approvals.model import Caller, KeyId, PersonId, ServiceId
from bot.api_keys import key_hash, new_api_key

BODY_BYTES = 1024
SUBJECTS = 1000
REQUESTERS = 40
APPROVER = PersonId("anna")
SECRET_VARIABLE = "TOLD_CALLBACK_SECRET"
CALLBACK_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
QUIET = Caller(service=ServiceId("quiet"), key_id=KeyId("quiet-1"), address="127.0.0.1")
TOLD = Caller(service=ServiceId("told"), key_id=KeyId("told-1"), address="127.0.0.1")

_POLICY = """\
version: 1
defaults: {on_no_match: deny, groups: [desk], expires_in: 1h}
actions:
  customer.view:
    title: Open one customer profile
    data_classes: [contact]
    fields:
      email: {show: mask_email}
      account: {show: pseudonym}
      columns: {show: count}
      note: {show: plain}
  users.export: {title: Export customer records, data_classes: [contact, financial]}
  data.sell: {title: Sell customer data}
  report.read: {title: Read the monthly report}
rules:
  - id: never-sell
    why: Customer data is never sold
    actions: [data.sell]
    then: {decision: deny, say: We do not sell customer data}
  - id: export-two-approvers
    why: Large exports need two people
    actions: [users.export]
    then: {decision: review, threshold: 2, groups: [desk], expires_in: 30m}
  - id: reports-are-open
    actions: [report.read]
    then: {decision: approve}
  - id: one-approver
    why: Somebody else looks first
    actions: [customer.*]
    then: {decision: review, threshold: 1, groups: [desk]}
"""
_SERVICE = """\
  {service}:
    keys: [{{id: {key_id}, hash: "{key_hash}"}}]
    actions: ["*"]
    requesters: ["okta:*"]
    rate: {{per_minute: 1000000, per_requester: 1000000, pending_per_requester: 1000000}}
"""
_CALLBACK = """\
    callback:
      default: http://127.0.0.1:{port}/placet
      origins: ["http://127.0.0.1:{port}"]
      secrets: [{{env: {variable}}}]
"""
_BODY = (
    '{"action":"customer.view","requester":{"id":"okta:u%03d","name":"Jonas Berg"},'
    '"justification":"Customer asked for a copy of their data, ticket ZD-%08d",'
    '"ticket":"ZD-%08d","subject":"customer:%06d","record_count":1,"params":{'
    '"email":"customer%06d@example.com","account":"%012d","columns":["email","address"],'
    '"note":"%s"}}'
)
_HEAD = (
    "POST /v1/requests HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
    "Content-Type: application/json\r\nIdempotency-Key: %s-%d\r\nContent-Length: %d\r\n\r\n"
)


def write_configuration(directory: Path, api_key: str, receiver_port: int | None) -> None:
    """Writes the three files. `api_key` is that of `QUIET`, which is never called back.

    Without a receiver `TOLD` is not either: the web half refuses to start with one on loopback.
    """
    services = "services:\n" + _service(QUIET, api_key) + _service(TOLD, new_api_key(TOLD.key_id))
    if receiver_port is not None:
        services += _CALLBACK.format(port=receiver_port, variable=SECRET_VARIABLE)
    directory.mkdir()
    (directory / "policy.yaml").write_text(_POLICY)
    (directory / "people.yaml").write_text(_people())
    (directory / "services.yaml").write_text(services)


def bodies() -> Iterator[bytes]:
    """Bodies without end, each of 1,024 bytes, none like another, subjects of 1,000."""
    filler = _filler()
    length = BODY_BYTES - len(_body(0, ""))
    for number in count(random.SystemRandom().randrange(10**6)):
        start = number * 7919 % (len(filler) - length)
        yield _body(number, filler[start : start + length]).encode()


def posts(api_key: str) -> Iterator[bytes]:
    """`POST /v1/requests` without end, ready to be sent, each with a new idempotency key."""
    series = f"{random.SystemRandom().getrandbits(64):016x}"
    for number, body in enumerate(bodies()):
        yield (_HEAD % (api_key, series, number, BODY_BYTES)).encode() + body


@cache
def _filler() -> str:
    return "".join(random.choices(string.ascii_letters + string.digits, k=1 << 18))


def _body(number: int, note: str) -> str:
    subject = number * 31 % SUBJECTS
    requester = number % REQUESTERS
    return _BODY % (requester, number, number, subject, subject, number, note)


def _service(caller: Caller, api_key: str) -> str:
    return _SERVICE.format(service=caller.service, key_id=caller.key_id, key_hash=key_hash(api_key))


def _people() -> str:
    people = [
        f"  - {{id: {APPROVER}, name: Anna Ek, roles: [approver]}}",
        "  - {id: ben, name: Ben Okafor, roles: [approver, admin]}",
        *(
            f'  - {{id: u{n:03}, name: Jonas Berg, requester_ids: ["okta:u{n:03}"]}}'
            for n in range(REQUESTERS)
        ),
    ]
    return "people:\n" + "\n".join(people) + f"\ngroups:\n  desk: {{members: [{APPROVER}, ben]}}\n"
