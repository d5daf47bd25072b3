"""A complete configuration that holds, for tests to use as it is or to break in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

POLICY = """\
version: 1
lists: {EEA: [DE, FR], SPECIAL: [health]}
channels:
  privacy-desk:
    slack: C0PRIVACY
    teams: {team: team-1, channel: 19:privacy}
  duty-desk: {slack: C0DUTY}
defaults:
  notify: [privacy-desk]
  on_no_match: review
  on_error: deny
  groups: [privacy]
  threshold: 1
  expires_in: 2h
  grant_ttl: 30m
  uses: 3
  timezone: Europe/Berlin
actions:
  customer.read:
    title: Open one customer record
    description: One record, on a screen
    data_classes: [contact]
    fields:
      customer_ref: {show: pseudonym, scope: day}
      email: {show: mask_email}
    requires: [subject, ticket]
    purposes: [support]
    grant_ttl: 10m
    uses: 2
  customer.export:
    title: Export customer records
    expires_in: 1h
  test.delete:
    title: Delete the records of a test
rules:
  - id: export-needs-two
    why: Exports need two people
    actions: [customer.export]
    when: "true"
    then:
      decision: review
      say: Ask early
      threshold: 2
      groups: [privacy, duty]
      distinct_groups: false
      expires_in: 30m
      grant_ttl: 5m
      uses: 1
      quick_approve: true
      notify: [duty-desk]
  - id: tests-are-free
    mode: enforce
    actions: [test.*]
    then: {decision: approve, say: Nothing real in it}
  - id: never-in-bulk
    why: Bulk reads are forbidden
    actions: ["*.read"]
    then: {decision: deny, say: Use the export}
"""

PEOPLE = """\
people:
  - id: anna
    name: Anna Example
    roles: [approver, admin]
    requester_ids: ["okta:00u1", "okta:00u2"]
    slack: {team: T1, user: U1}
    teams: {tenant: AAAA-1, object: bbbb-1}
  - id: ben
    name: Ben Example
    roles: [approver]
    requester_ids: ["okta:00u3"]
    slack: {team: T1, user: U2}
  - id: cleo
    name: Cleo Example
    requester_ids: ["okta:00u4"]
    teams: {tenant: aaaa-1, object: bbbb-2}
groups:
  privacy: {members: [anna, cleo]}
  duty:
    members: [ben]
"""

SERVICES = """\
services:
  crm:
    keys:
      - id: crm-1
        hash: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        not_after: 2030-01-31T00:00:00+01:00
      - id: crm-2
        hash: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdee
    actions: ["customer.*", test.delete]
    requesters: ["okta:*"]
    machine_requesters:
      - {match: "batch:*", owner: ben}
    asserts: [geo.country, device.managed]
    callback:
      default: https://crm.internal.example/placet
      origins: [https://crm.internal.example, "http://127.0.0.1:8090"]
      networks: [10.1.0.0/16, "fd00:1::/32"]
      secrets:
        - {env: CRM_SECRET}
        - {file: /run/secrets/crm}
  quiet:
    actions: [customer.read]
    requesters: ["okta:00u3"]
"""

FIXTURES = """\
base:
  action: customer.export
  service: crm
  requester.id: "okta:00u1"
  geo.country: DE
  device.managed: true
  now: 2026-03-02T09:00:00Z
cases:
  - name: an export needs two
    given: {}
    expect: {decision: review, rule: export-needs-two, threshold: 2, shadow: []}
  - name: tests are free
    given: {action: test.delete, geo.country: null}
    expect: {decision: approve}
"""

FILES: Mapping[str, str] = {
    "policy.yaml": POLICY,
    "people.yaml": PEOPLE,
    "services.yaml": SERVICES,
}


def write(directory: Path, files: Mapping[str, str] = FILES) -> Path:
    """`files` in `directory`."""
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory
