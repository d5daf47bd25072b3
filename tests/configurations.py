"""A small company for tests: three approvers, one requester, two services."""

from __future__ import annotations

import hashlib
from pathlib import Path

API_KEY = {
    "crm": "plc_crm-1_" + "c" * 49,
    "billing": "plc_billing-1_" + "b" * 49,
}
ASKED_BECAUSE = "Customer asked for a copy of their data, ticket ZD-48213"
CALLBACK_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="

POLICY = """\
version: 1
defaults:
  on_no_match: deny
  groups: [privacy]
  expires_in: 1h
actions:
  customer.view:
    title: Open one customer profile
    data_classes: [contact]
    fields:
      email: {show: mask_email}
      account: {show: pseudonym}
      birth_date: {show: hidden}
  users.export:
    title: Export customer records
    data_classes: [contact, financial]
    fields:
      format: {show: plain}
      fields: {show: count}
  report.read:
    title: Read the monthly report
  data.sell:
    title: Sell customer data
  rare.thing:
    title: Something no rule covers
  thin.ice:
    title: Needs every approver there is
  case.close:
    title: Close a case
    requires: [ticket, purpose]
    purposes: [support, legal]
rules:
  - id: never-sell
    why: Customer data is never sold
    actions: [data.sell]
    then: {decision: deny, say: We do not sell customer data}
  - id: reports-are-open
    actions: [report.read]
    then: {decision: approve, say: The report holds no personal data}
  - id: export-two-approvers
    why: Large exports need two people
    actions: [users.export]
    then: {decision: review, threshold: 2, groups: [privacy, duty], expires_in: 30m, grant_ttl: 10m}
  - id: needs-everybody
    actions: [thin.ice]
    then: {decision: review, threshold: 2, groups: [privacy]}
  - id: one-approver
    why: Somebody else looks first
    actions: [customer.view, case.close]
    when: "true"
    then: {decision: review, threshold: 1, groups: [privacy]}
"""

PEOPLE = """\
people:
  - {id: anna, name: Anna Ek, roles: [approver], requester_ids: ["okta:anna"]}
  - {id: ben, name: Ben Okafor, roles: [approver, admin], requester_ids: ["okta:ben"]}
  - {id: cleo, name: Cleo Marsh, roles: [approver]}
  - {id: jonas, name: Jonas Berg, requester_ids: ["okta:00u1"]}
  - {id: olga, name: Olga Rossi, roles: [auditor]}
groups:
  privacy: {members: [anna, ben]}
  duty: {members: [cleo]}
"""

# Whoever tests limits sets their own; nobody else is to meet one.
AMPLE = "{per_minute: 1000000, per_requester: 1000000, pending_per_requester: 1000000}"

SERVICES = """\
services:
  crm:
    keys:
      - {{id: crm-1, hash: "{crm}"}}
    actions: ["*"]
    requesters: ["okta:*"]
    machine_requesters:
      - {{match: "job:*", owner: ben}}
    asserts: [geo.country, device.managed]
    callback:
      default: http://127.0.0.1:{port}/placet
      origins: ["http://127.0.0.1:{port}"]
      secrets: [{{env: CRM_CALLBACK_SECRET}}]
    rate: {rate}
  billing:
    keys:
      - {{id: billing-1, hash: "{billing}"}}
    actions: [report.*, customer.*]
    requesters: ["okta:*"]
    rate: {rate}
"""


def key_hash(key: str) -> str:
    """The hash of an API key as services.yaml holds it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def write_configuration(
    directory: Path, *, port: int = 9, policy: str = POLICY, rate: str = AMPLE
) -> None:
    """The three files, complete and without fault; `rate` is what each service may ask."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "policy.yaml").write_text(policy)
    (directory / "people.yaml").write_text(PEOPLE)
    hashes = {service: key_hash(key) for service, key in API_KEY.items()}
    (directory / "services.yaml").write_text(SERVICES.format(port=port, rate=rate, **hashes))


def ask(**changes: object) -> dict[str, object]:
    """A request as sent that is in order; a change of None leaves the member out."""
    sent: dict[str, object] = {
        "action": "customer.view",
        "requester": {"id": "okta:00u1", "name": "Jonas Berg"},
        "justification": ASKED_BECAUSE,
        "subject": "customer:48213",
        "params": {"email": "dana@example.com"},
    }
    sent |= changes
    return {name: value for name, value in sent.items() if value is not None}
