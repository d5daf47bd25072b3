"""From what a service sent to a request ready to open: rights, policy, people, digest.

Decides nothing by itself: each refusal comes from the configuration, each outcome from policy.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from approvals.ask import Ask
from approvals.change import Opening
from approvals.digest import action_digest
from approvals.encryption import SubjectKey
from approvals.errors import (
    ActionNotAllowed,
    Finding,
    InvalidRequest,
    NoApproverReachable,
    Unauthorized,
    UnknownAction,
)
from approvals.model import (
    ActionId,
    Asked,
    Caller,
    MatchedPolicy,
    PersonId,
    Requester,
    RequestId,
)
from approvals.policy.attributes import Claims, check_claims
from approvals.policy.document import Action
from approvals.policy.inquiry import inquiry_of
from approvals.policy.loader import Configuration
from approvals.policy.services import Service
from approvals.privacy.personal import PLACE, Personal, kept_fields, pseudonyms
from approvals.privacy.scanner import Scanner
from approvals.privacy.screening import Screening
from approvals.privacy.vault import locked
from approvals.seats import most_approvals
from approvals.signing import Marks
from approvals.standing import any_of
from approvals.store.receipts import Conduct

_UNKNOWN_TO_US = Conduct()
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as ULIDs use it


@dataclass(frozen=True, slots=True)
class Chance:
    """What chance adds to an opening, handed in so that the rest is a function."""

    id: RequestId
    salt: bytes  # 16 bytes: the digest's salt


def request_id(now: datetime, chance: bytes) -> RequestId:
    """`req_` and a ULID: 48 bits of milliseconds, 80 random bits; sorts by time."""
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(chance, "big")
    digits = (_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
    return RequestId("req_" + "".join(digits))


def prepare(
    configuration: Configuration,
    caller: Caller,
    ask: Ask,
    *,
    now: datetime,
    marks: Marks,
    body: bytes,
    chance: Chance,
    key: SubjectKey,
    scanner: Scanner,
    conduct: Conduct = _UNKNOWN_TO_US,
) -> Opening:
    """The opening of one request. Raises the refusal that the configuration, or the scan, gives.

    `key` is the subject's, for the words of it.
    """
    service = configuration.services.service(caller.service)
    if service is None:
        raise Unauthorized("The API key is not valid.")
    action = _action(configuration, service, ask)
    _check_required(action, ask)
    requester = service.requester(ask.requester.id, configuration.people)
    claims = check_claims(ask.context, service.asserts)
    screening = Screening(configuration.policy.defaults.pii_in_text, scanner)
    if requester.owner:  # what a machine goes by is the service's text, and stands on cards
        screening.bare("/requester/id", requester.id)
    ask = _screened(ask, screening)
    fields = kept_fields(ask.params, action.fields, screening, pseudonyms(marks, chance.id, now))
    findings = screening.check()
    asked = _asked(ask, action, requester, claims, service.callback_url(ask.callback_url))
    personal = Personal(
        justification=ask.justification,
        ticket=ask.ticket,
        given_name=ask.requester.name,
        fields=fields,
    )
    words = personal.model_dump_json(exclude_defaults=True)
    known = {
        "personal": locked(key, chance.id, PLACE, words),
        "subject_mark": marks.subject(ask.subject) if ask.subject else None,
        "hidden_fields": len(ask.params) - len(fields),
        "findings": findings,
        "address": caller.address,
        "likeness": _likeness(service, ask, marks),
        "unreceipted": conduct.unreceipted,
        "overuse": conduct.overuse,
    }
    asked = asked.model_copy(update=known)
    inquiry = inquiry_of(asked, service.id, now)
    terms = configuration.rulebook.terms(inquiry, ask.expires_in, ask.grant_ttl)
    _check_reachable(configuration, terms.matched, requester.responsible)
    salt = base64.b64encode(chance.salt).decode()
    return Opening(
        id=chance.id,
        caller=caller,
        asked=asked,
        policy=terms.matched,
        expires_in=terms.expires_in,
        grant_ttl=terms.grant_ttl,
        uses=terms.uses,
        digest=_digest(ask, salt),
        salt=salt,
        body_mark=marks.body(body),
    )


def _digest(ask: Ask, salt: str | None) -> str:
    return action_digest(
        action=ask.action,
        subject=ask.subject,
        params=ask.params if "params" in ask.model_fields_set else None,
        salt=salt,
    )


def _likeness(service: Service, ask: Ask, marks: Marks) -> str:
    """Of all that is asked, before anything is hidden: what differs by a hidden value differs."""
    return marks.likeness(service.id, ask.requester.id, _digest(ask, None))


def _action(configuration: Configuration, service: Service, ask: Ask) -> Action:
    action = configuration.policy.actions.get(ActionId(ask.action))
    if action is None:
        remedy = "Send the id of an action of policy.yaml, or ask an admin to add it there"
        raise UnknownAction("/action", "is no action that policy lists", remedy)
    if not service.may_ask(ActionId(ask.action)):
        remedy = "Ask an admin to add it to the service's actions in services.yaml"
        raise ActionNotAllowed("/action", "is none that this service may ask for", remedy)
    return action


def _check_required(action: Action, ask: Ask) -> None:
    findings = [
        Finding(f"/{name}", "is required for this action")
        for name in action.requires
        if getattr(ask, name) is None
    ]
    if ask.purpose and action.purposes and ask.purpose not in action.purposes:
        accepted = ", ".join(action.purposes)
        findings.append(Finding("/purpose", f"must be one of {accepted} for this action"))
    if findings:
        raise InvalidRequest(findings)


def _check_reachable(
    configuration: Configuration, policy: MatchedPolicy, responsible: PersonId | None
) -> None:
    if policy.decision != "review":
        return
    able = configuration.people.groups_of_deciders(policy.groups, excluding=responsible)
    if missing := _missing_approvers(policy, able):
        raise NoApproverReachable(
            f"Rule {policy.rule} {missing} "
            "Ask an admin to add approvers to its groups (people.yaml)."
        )


def _missing_approvers(policy: MatchedPolicy, able: Mapping[PersonId, Collection[str]]) -> str:
    """What the people who are `able` cannot give, in words; nothing where they suffice."""
    there, before = len(able), 0
    if there < policy.threshold:
        return f"needs {policy.threshold} approvers, and {there} may decide this request."
    each = ", each from another group" if policy.distinct_groups else ""
    stages = policy.all_stages
    for number, stage in enumerate(stages, start=1):
        most = most_approvals(stages[:number], distinct_groups=policy.distinct_groups, able=able)
        before += stage.threshold
        if most < before:
            left = stage.threshold - (before - most)
            noun = "approver" if stage.threshold == 1 else "approvers"
            where = f" in stage {number} of {len(stages)}" if len(stages) > 1 else ""
            besides = ", besides those of the stages before" if number > 1 else ""
            asked = f"{stage.threshold} {noun} from {any_of(stage.groups)}{where}{each}{besides}"
            return f"needs {asked}, and {left} can be had."
    return ""


def _asked(
    ask: Ask,
    action: Action,
    requester: Requester,
    claims: Claims,
    callback_url: str | None,
) -> Asked:
    return Asked(
        action=ActionId(ask.action),
        title=action.title,
        requester=requester,
        purpose=ask.purpose,
        record_count=ask.record_count,
        data_classes=tuple(dict.fromkeys((*action.data_classes, *ask.data_classes))),
        context=claims.accepted,
        context_ignored=claims.ignored,
        callback_url=callback_url,
    )


def _screened(ask: Ask, screening: Screening) -> Ask:
    """What was asked, its texts as the scan leaves them. Fields are screened by their class."""
    requester = ask.requester
    if requester.name:
        name = screening.text("/requester/name", requester.name)
        requester = requester.model_copy(update={"name": name})
    classes = (screening.text(f"/data_classes/{n}", one) for n, one in enumerate(ask.data_classes))
    texts = {name: getattr(ask, name) for name in ("justification", "ticket", "purpose")}
    screened = {name: screening.text(f"/{name}", text) for name, text in texts.items() if text}
    return ask.model_copy(
        update={**screened, "requester": requester, "data_classes": tuple(classes)}
    )
