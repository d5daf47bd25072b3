"""A company for tests of privacy: its policy has every class of field, its words are canaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.canaries import Canaries
from tests.configurations import AMPLE, API_KEY, key_hash

FIELDS = """\
{
      country: {show: plain},
      email: {show: mask_email},
      account: {show: last4},
      customer: {show: pseudonym},
      person: {show: pseudonym, scope: global},
      rows: {show: count},
      secret: {show: hidden},
    }"""
POLICY = """\
version: 1
channels:
  desk: {slack: C-desk}
  duty: {slack: C-duty}
defaults: {on_no_match: deny, groups: [privacy], expires_in: 1h, notify: [desk]}
actions:
  customer.view:
    title: Open one customer profile
    data_classes: [contact]
    receipt_within: 1h
    uses: 2
    fields: FIELDS
  users.export:
    title: Export customer records
    data_classes: [contact, financial]
    fields: FIELDS
  report.read: {title: Read the monthly report, fields: FIELDS, uses: 2}
  data.sell: {title: Sell customer data, fields: FIELDS}
rules:
  - id: never-sell
    why: Customer data is never sold
    actions: [data.sell]
    then: {decision: deny, say: We do not sell customer data}
  - id: reports-are-open
    actions: [report.read]
    then: {decision: approve, say: The report is open, must_hold: [geo.country], uses: 2}
  - id: shadowy
    mode: shadow
    when: geo.country == "DE"
    then: {decision: approve}
  - id: export-two-approvers
    why: Large exports need two people
    actions: [users.export]
    then:
      decision: review
      threshold: 2
      groups: [privacy]
      remind: [1m]
      escalate: [{after: 2m, groups: [duty], notify: [duty]}]
  - id: one-approver
    why: Somebody else looks first
    actions: [customer.view]
    then: {decision: review, threshold: 1, groups: [privacy], uses: 2}
""".replace("FIELDS", FIELDS)
PEOPLE = """\
people:
  - {{id: anna, name: Anna Ek, roles: [approver], requester_ids: ["{anna}"]}}
  - {{id: ben, name: Ben Okafor, roles: [approver, admin]}}
  - {{id: cleo, name: Cleo Marsh, roles: [approver]}}
  - {{id: jonas, name: "{name}", requester_ids: ["{jonas}"], slack: {{team: T0, user: "{user}"}}}}
  - {{id: olga, name: Olga Rossi, roles: [auditor]}}
groups:
  privacy: {{members: [anna, ben]}}
  duty: {{members: [cleo]}}
"""
_SERVICE = """\
  {id}:
    keys: [{{id: {id}-1, hash: "{hash}"}}]
    actions: [{actions}]
    requesters: ["*@example.org"]
    machine_requesters: [{{match: "job:*", owner: ben}}]
    asserts: [geo.country, device.type]
    callback:
      default: http://127.0.0.1:{port}/{id}
      origins: ["http://127.0.0.1:{port}"]
      secrets: [{secrets}]
    rate: {rate}
"""


class Company:
    """Writes its three files, and asks as its services do. Every text of its calls is a canary."""

    def __init__(self, folder: Path, canaries: Canaries, crm: int, billing: int) -> None:
        self.folder = folder
        self.canaries = canaries
        self.jonas = canaries.email("person's requester id")
        self.callback = f"http://127.0.0.1:{crm}/placet/"
        self._ports = {"crm": crm, "billing": billing}

    def write(self, *, rate: str = AMPLE) -> None:
        """The files, without fault."""
        mint = self.canaries
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "policy.yaml").write_text(POLICY)
        people = PEOPLE.format(
            anna=mint.email("another's requester id"), jonas=self.jonas,
            name="Jonas " + mint.word("person's name"), user=mint.word("person's Slack id"),
        )  # fmt: skip
        (self.folder / "people.yaml").write_text(people)
        crm = self._service(
            "crm", '"*"', "{env: CRM_CALLBACK_SECRET}, {env: CRM_NEXT_SECRET}", rate
        )
        billing = self._service("billing", "report.*", "{env: BILLING_SECRET}", rate)
        (self.folder / "services.yaml").write_text(f"services:\n{crm}{billing}")

    def _service(self, service: str, actions: str, secrets: str, rate: str) -> str:
        return _SERVICE.format(
            id=service, hash=key_hash(API_KEY[service]), actions=actions,
            port=self._ports[service], secrets=secrets, rate=rate,
        )  # fmt: skip

    def asks(self, **changes: object) -> dict[str, Any]:
        """A request in order, a canary in whatever holds text; a change of None leaves one out."""
        mint = self.canaries
        sent = {
            "action": "customer.view",
            "requester": {"id": self.jonas, "name": f"J. {mint.word('requester.name')}"},
            "justification": f'<b>{mint.word("justification")}</b> wrote "ü" & asked for their '
            f"data; see %41 {mint.email('masked')}",
            "ticket": f"ZD-{mint.word('ticket')} {mint.email('masked')}",
            "purpose": mint.word("purpose"),
            "subject": f"customer:{mint.email('subject')}",
            "record_count": 3,
            "data_classes": [mint.word("data_classes")],
            "params": self.params(),
            "context": {
                "geo.country": "DE",
                "device.type": mint.word("context.asserted"),
                "requester.roles": [mint.word("context.ignored")],
            },
            "callback_url": f"{self.callback}{mint.word('callback_url')}?"
            f"{mint.word('callback_url')}={mint.word('callback_url')}",
        } | changes
        return {name: value for name, value in sent.items() if value is not None}

    def machine(self) -> dict[str, str]:
        """A requester that is no person."""
        return {"id": "job:" + self.canaries.word("machine's requester id")}

    def params(self) -> dict[str, Any]:
        """A field of each class, and some that no class is declared for."""
        mint = self.canaries
        nested = {mint.word("params.nested"): [{mint.word("params.nested"): mint.email("masked")}]}
        return {
            "country": f"DE & {mint.word('params.plain')}",
            "email": mint.email("params.mask_email"),
            "account": mint.word("params.last4"),
            "customer": mint.word("params.pseudonym"),
            "person": mint.email("params.pseudonym"),
            "rows": [mint.word("params.count"), nested],
            "secret": mint.cloud_key("params.hidden"),
            f"<{mint.word('params.undeclared name')}>": mint.word("params.undeclared"),
            mint.word("params.undeclared name"): {"a": [nested, mint.email("params.undeclared")]},
        }
