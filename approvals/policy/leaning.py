"""Which way a change of policy.yaml leans as far as its text alone tells. Judges no request.

Each function gives directions by the key that changed, as `changes` writes it. A key without an
entry is `other`: what it does to a request cannot be told, as of a condition or a list. What holds
in the end is compared, so that a key written out as its default leans nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from approvals.model import PiiInText
from approvals.policy.analysis import voters
from approvals.policy.comparing import Direction
from approvals.policy.document import Action, Defaults, Policy, Rule, ShownField, StageEntry, Then

Leanings = Mapping[str, Direction]

_FREEDOM = {"deny": 0, "review": 1, "approve": 2}
_OPENNESS = {
    "hidden": 0,
    "count": 1,
    "pseudonym": 1,
    "last4": 2,
    "mask_email": 2,
    "scan": 3,
    "plain": 4,
}
_LENIENCE: Mapping[PiiInText, int] = {"refuse": 0, "warn": 1, "mask": 2}
_REACH = {"request": 0, "day": 1, "global": 2}  # how far a pseudonym ties requests together
_HIDDEN = ShownField(show="hidden")
_NEVER = timedelta.max  # when a receipt is due that nobody asks for, or personal data forgotten


def defaults_leaning(old: Defaults, new: Defaults) -> Leanings:
    """What holds where neither rule nor action says otherwise."""
    return {
        "on_no_match": _more(_FREEDOM[old.on_no_match], _FREEDOM[new.on_no_match]),
        "on_error": _more(_FREEDOM[old.on_error], _FREEDOM[new.on_error]),
        "threshold": _more(new.threshold, old.threshold),
        "groups": gaining(old.groups, new.groups),
        "expires_in": _longer(old.expires_in, new.expires_in),
        "grant_ttl": _longer(old.grant_ttl, new.grant_ttl),
        "uses": _more(old.uses, new.uses),
        "pii_in_text": _more(_LENIENCE[old.pii_in_text], _LENIENCE[new.pii_in_text]),
        "chat_retention": _longer(old.chat_retention, new.chat_retention),
        "personal_retention": _longer(
            old.personal_retention or _NEVER, new.personal_retention or _NEVER
        ),
    }


def action_leaning(old: Action, new: Action, before: Defaults, after: Defaults) -> Leanings:
    """An action of the catalogue: what is asked of a request, shown of it, and granted."""
    waits = _least(before.expires_in, old.expires_in), _least(after.expires_in, new.expires_in)
    lives = _least(before.grant_ttl, old.grant_ttl), _least(after.grant_ttl, new.grant_ttl)
    return {
        "data_classes": gaining(new.data_classes, old.data_classes),
        "requires": gaining(new.requires, old.requires),
        "purposes": _purposes(old.purposes, new.purposes),
        "expires_in": _longer(*waits),
        "grant_ttl": _longer(*lives),
        "uses": _more(old.uses or before.uses, new.uses or after.uses),
        "receipt_within": _longer(old.receipt_within or _NEVER, new.receipt_within or _NEVER),
        **_fields(old.fields, new.fields),
    }


def rule_leaning(old: Rule, new: Rule, before: Policy, after: Policy) -> Leanings:
    """A rule that is enforced before and after; whether its condition got wider nobody can tell."""
    if "shadow" in (old.mode, new.mode):
        return {}
    decision = _more(_FREEDOM[old.then.decision], _FREEDOM[new.then.decision])
    if decision != "other":
        return {"then.decision": decision}
    leanings = _grant(old.then, new.then, before.defaults, after.defaults)
    if new.then.decision == "review":
        leanings = {**leanings, **_review(old.then, new.then, before, after)}
    return leanings


def gaining(old: Collection[str], new: Collection[str]) -> Direction:
    """Names of which more are looser; what gains one and loses another is looser too."""
    if set(new) - set(old):
        return "looser"
    return "stricter" if set(old) - set(new) else "other"


def _grant(old: Then, new: Then, before: Defaults, after: Defaults) -> Leanings:
    was, now = _least(before.grant_ttl, old.grant_ttl), _least(after.grant_ttl, new.grant_ttl)
    return {
        "then.grant_ttl": _longer(was, now),
        "then.uses": _more(old.uses or before.uses, new.uses or after.uses),
        "then.must_hold": gaining(new.must_hold, old.must_hold),
    }


def _review(old: Then, new: Then, before: Policy, after: Policy) -> Leanings:
    (few, some), (many, others) = voters(before, old), voters(after, new)
    was = _least(before.defaults.expires_in, old.expires_in)
    now = _least(after.defaults.expires_in, new.expires_in)
    raised = [[name for one in then.escalate for name in one.groups] for then in (old, new)]
    return {
        "then.threshold": _more(many, few),
        "then.groups": gaining(some, others),
        "then.distinct_groups": _more(new.distinct_groups, old.distinct_groups),
        "then.stages": _stages(old.stages, new.stages),
        "then.expires_in": _longer(was, now),
        "then.escalate": gaining(*raised),
        "then.quick_approve": _more(old.quick_approve, new.quick_approve),
        "then.show_justification": _more(
            old.show_justification == "channel", new.show_justification == "channel"
        ),
    }


def _stages(old: Sequence[StageEntry], new: Sequence[StageEntry]) -> Direction:
    """Looser where any stage is, or there are fewer; stricter where all that differs is."""
    pairs = list(zip(old, new, strict=False))
    found = [_more(now.threshold, was.threshold) for was, now in pairs]
    found += [gaining(was.groups, now.groups) for was, now in pairs]
    return _worst([_more(len(new), len(old)), *found])


def _fields(old: Mapping[str, ShownField], new: Mapping[str, ShownField]) -> Leanings:
    found: dict[str, Direction] = {}
    for name in (*old, *new):
        was, now = old.get(name, _HIDDEN), new.get(name, _HIDDEN)
        found[f"fields.{name}.show"] = _more(_OPENNESS[was.show], _OPENNESS[now.show])
        if was.show == now.show == "pseudonym":
            found[f"fields.{name}.scope"] = _more(_REACH[was.scope], _REACH[now.scope])
    return found


def _purposes(old: Collection[str], new: Collection[str]) -> Direction:
    """None named means any."""
    if bool(old) != bool(new):
        return "stricter" if new else "looser"
    return gaining(old, new)


def _least(default: timedelta, own: timedelta | None) -> timedelta:
    return min(default, own or default)


def _more(old: float, new: float) -> Direction:
    if old == new:
        return "other"
    return "looser" if new > old else "stricter"


def _longer(old: timedelta, new: timedelta) -> Direction:
    return _more(old.total_seconds(), new.total_seconds())


def _worst(found: Collection[Direction]) -> Direction:
    if "looser" in found:
        return "looser"
    return "stricter" if "stricter" in found else "other"
