"""policy.yaml as frozen data: the catalogue of actions, the channels, the rules.

Judges no request. What the contract knows and this version does not carry out is refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, StrictInt, model_validator

from approvals.model import Frozen, PolicyDecision
from approvals.policy.source import ANY, Later
from approvals.policy.values import (
    ActionName,
    Count,
    ExpiresIn,
    Flag,
    GrantTtl,
    Name,
    Paragraph,
    Sentence,
    TimeZone,
    Title,
    Word,
    fault,
    not_carried_out,
)

NO_MATCH = "no-match"  # the rule id of what no rule fits
EVERY_REQUEST = "true"  # the one condition of this version

# Keys of the contract that this version does not carry out, and the values that ask for nothing.
# To carry one out: move its line from here to its model.
LATER: Later = (
    (("lists",), ({},)),
    (("defaults", "pii_in_text"), ()),
    (("defaults", "chat_retention"), ()),
    (("defaults", "fallback"), ()),
    (("defaults", "admin"), ()),
    (("actions", ANY, "receipt_within"), ()),
    (("rules", ANY, "then", "stages"), ([],)),
    (("rules", ANY, "then", "distinct_groups"), (False,)),
    (("rules", ANY, "then", "remind"), ([],)),
    (("rules", ANY, "then", "escalate"), ([],)),
    (("rules", ANY, "then", "must_hold"), ([],)),
    (("rules", ANY, "then", "show_justification"), ()),
    (("rules", ANY, "then", "step_up"), (False,)),
)

Mode = Literal["enforce", "shadow"]
Show = Literal["plain", "mask_email", "last4", "pseudonym", "count", "scan", "hidden"]
Platform = Literal["slack", "teams"]


def _only_enforced(mode: Mode) -> Mode:
    if mode == "shadow":
        raise not_carried_out("is `shadow`", "Remove the rule until it is")
    return mode


def _only_every_request(when: str) -> str:
    if when != EVERY_REQUEST:
        raise not_carried_out("holds a condition", 'Write "true", or remove the key')
    return when


def _not_scanned(show: Show) -> Show:
    if show == "scan":
        raise not_carried_out("is `scan`", "Choose another way, or remove the field")
    return show


def _known_version(version: int) -> int:
    if version != 1:
        raise fault("is not a version this release reads", "Write 1")
    return version


def _not_reserved(rule: str) -> str:
    if rule == NO_MATCH:
        raise fault("is what answers show when no rule fits", "Choose another id")
    return rule


def _somebody(groups: tuple[str, ...]) -> tuple[str, ...]:
    if not groups:
        raise fault("is empty, so nobody may approve", "Name a group, or remove the key")
    return groups


def _something(actions: tuple[str, ...]) -> tuple[str, ...]:
    if not actions:
        raise fault(
            "is empty, so the rule fits nothing", "Name an action, or remove the key for all"
        )
    return actions


class ShownField(Frozen):
    """How one top-level key of `params` may be shown; a key without an entry is hidden."""

    show: Annotated[Show, AfterValidator(_not_scanned)]
    scope: Literal["request", "day", "global"] = "request"


class Action(Frozen):
    """One sensitive action of the catalogue. None leaves the matter to rule and defaults."""

    title: Title
    description: Paragraph = ""
    data_classes: tuple[Word, ...] = ()
    fields: dict[Word, ShownField] = {}
    requires: tuple[Literal["ticket", "record_count", "purpose", "subject"], ...] = ()
    purposes: tuple[Word, ...] = ()
    expires_in: ExpiresIn | None = None
    grant_ttl: GrantTtl | None = None
    uses: Count | None = None


class TeamsChannel(Frozen):
    team: Word
    channel: Word


class Channel(Frozen):
    """Where cards go, on one platform or on several."""

    slack: Word | None = None
    teams: TeamsChannel | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Channel:
        if not self.platforms:
            raise fault("names no platform", "Add slack or teams")
        return self

    @property
    def platforms(self) -> frozenset[Platform]:
        """The platforms this channel names."""
        slack: set[Platform] = {"slack"} if self.slack else set()
        teams: set[Platform] = {"teams"} if self.teams else set()
        return frozenset(slack | teams)


class Then(Frozen):
    """What a rule decides. Only a review carries who, how many, how long and where it is told."""

    decision: PolicyDecision
    say: Sentence | None = None
    threshold: Count | None = None
    groups: Annotated[tuple[Name, ...], AfterValidator(_somebody)] | None = None
    expires_in: ExpiresIn | None = None
    grant_ttl: GrantTtl | None = None
    uses: Count | None = None
    quick_approve: Flag = False
    notify: tuple[Name, ...] | None = None


REVIEW_ONLY = ("threshold", "groups", "expires_in", "quick_approve", "notify")
GRANT_ONLY = ("grant_ttl", "uses")


class Rule(Frozen):
    """One rule. Without `actions` it fits every action."""

    id: Annotated[Name, AfterValidator(_not_reserved)]
    why: Sentence = ""
    mode: Annotated[Mode, AfterValidator(_only_enforced)] = "enforce"
    actions: Annotated[tuple[Word, ...], AfterValidator(_something)] = (ANY,)
    when: Annotated[Sentence, AfterValidator(_only_every_request)] = EVERY_REQUEST
    then: Then


class Defaults(Frozen):
    """What holds where neither the rule nor the action says otherwise."""

    notify: tuple[Name, ...] = ()
    on_no_match: Literal["review", "deny"] = "deny"
    on_error: Literal["review", "deny"] = "deny"
    groups: tuple[Name, ...] = ()
    threshold: Count = 1
    expires_in: ExpiresIn = timedelta(minutes=15)
    grant_ttl: GrantTtl = timedelta(minutes=15)
    uses: Count = 1
    timezone: TimeZone = "UTC"


class Policy(Frozen):
    """policy.yaml as a whole."""

    version: Annotated[StrictInt, AfterValidator(_known_version)]
    channels: dict[Name, Channel] = {}
    defaults: Defaults = Defaults()
    actions: dict[ActionName, Action]
    rules: tuple[Rule, ...] = ()
