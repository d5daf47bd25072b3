"""policy.yaml as frozen data: the catalogue of actions, the channels, the rules.

Judges no request. What the contract knows and this version does not carry out is refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, StrictInt, StrictStr, model_validator

from approvals.model import Frozen, PiiInText, PolicyDecision
from approvals.policy.source import ANY, Later
from approvals.policy.values import (
    ActionName,
    ChatRetention,
    Count,
    ExpiresIn,
    Flag,
    GrantTtl,
    ListName,
    Name,
    Paragraph,
    PersonalRetention,
    Sentence,
    TimeZone,
    Title,
    Word,
    fault,
)
from approvals.text import UnseenCharacter, readable

NO_MATCH = "no-match"  # the rule id of what no rule fits
EVERY_REQUEST = "true"  # what `when` holds where nothing is asked
MOST_CLASSES = (
    50  # of one action; with a request's own they are the list a condition may go through
)
MOST_ITEMS = 1000  # of one list, which is handed to the engine at each decision
MOST_CONDITION = 1000  # characters

# Keys of the contract that this version does not carry out, and the values that ask for nothing.
# To carry one out: move its line from here to its model.
LATER: Later = (
    (("defaults", "fallback"), ()),
    (("defaults", "admin"), ()),
    (("rules", ANY, "then", "step_up"), (False,)),
)

Mode = Literal["enforce", "shadow"]
Show = Literal["plain", "mask_email", "last4", "pseudonym", "count", "scan", "hidden"]
ShowJustification = Literal["review", "channel"]
Platform = Literal["slack", "teams"]


def _condition(when: str) -> str:
    # Kept as written, spaces and all: its faults are told at their place in the file.
    try:
        readable(when, newlines=True)
    except UnseenCharacter as error:
        raise fault(str(error).partition(";")[0], "Remove it") from None
    if not when.strip() or len(when) > MOST_CONDITION:
        raise fault("has the wrong length", f"Write 1 to {MOST_CONDITION} characters")
    return when


def _few_items(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(items) > MOST_ITEMS:
        raise fault(f"holds more than {MOST_ITEMS} items", "Split it in two lists")
    return items


def _few_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(classes) > MOST_CLASSES:
        raise fault(f"holds more than {MOST_CLASSES} classes", "Name fewer")
    return classes


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
    """How one top-level key of `params` may be shown; a key without an entry is hidden.

    `scope` is within what a pseudonym stays the same; of every other class it says nothing.
    """

    show: Show
    scope: Literal["request", "day", "global"] = "request"


class Action(Frozen):
    """One sensitive action of the catalogue. None leaves the matter to rule and defaults."""

    title: Title
    description: Paragraph = ""
    data_classes: Annotated[tuple[Word, ...], AfterValidator(_few_classes)] = ()
    fields: dict[Word, ShownField] = {}
    requires: tuple[Literal["ticket", "record_count", "purpose", "subject"], ...] = ()
    purposes: tuple[Word, ...] = ()
    expires_in: ExpiresIn | None = None
    grant_ttl: GrantTtl | None = None
    uses: Count | None = None
    receipt_within: ExpiresIn | None = None


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


Groups = Annotated[tuple[Name, ...], AfterValidator(_somebody)]


class StageEntry(Frozen):
    """One part of a review; the next is asked when this one is complete."""

    threshold: Count = 1
    groups: Groups


class EscalationEntry(Frozen):
    """Whom to ask and where to tell it besides, `after` the opening."""

    after: ExpiresIn
    groups: tuple[Name, ...] = ()
    notify: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> EscalationEntry:
        if not (self.groups or self.notify):
            raise fault("adds nobody and tells nobody", "Add groups or notify")
        return self


class Then(Frozen):
    """What a rule decides. Only a review carries who, how many, how long and where it is told."""

    decision: PolicyDecision
    say: Sentence | None = None
    threshold: Count | None = None
    groups: Groups | None = None
    distinct_groups: Flag = False
    stages: tuple[StageEntry, ...] = ()
    expires_in: ExpiresIn | None = None
    remind: tuple[ExpiresIn, ...] = ()
    escalate: tuple[EscalationEntry, ...] = ()
    grant_ttl: GrantTtl | None = None
    uses: Count | None = None
    quick_approve: Flag = False
    show_justification: ShowJustification = "review"
    notify: tuple[Name, ...] | None = None
    must_hold: tuple[Word, ...] = ()


REVIEW_ONLY = (
    "threshold",
    "groups",
    "distinct_groups",
    "stages",
    "expires_in",
    "remind",
    "escalate",
    "quick_approve",
    "show_justification",
    "notify",
)
GRANT_ONLY = ("grant_ttl", "uses", "must_hold")


class Rule(Frozen):
    """One rule. Without `actions` it is about every action; in `shadow` it decides nothing."""

    id: Annotated[Name, AfterValidator(_not_reserved)]
    why: Sentence = ""
    mode: Mode = "enforce"
    actions: Annotated[tuple[Word, ...], AfterValidator(_something)] = (ANY,)
    when: Annotated[StrictStr, AfterValidator(_condition)] = EVERY_REQUEST
    then: Then


class Defaults(Frozen):
    """What holds where neither the rule nor the action says otherwise.

    `chat_retention` counts from a request's end, and so does `personal_retention`, once its grant
    is over too; None keeps personal data until it is erased.
    """

    notify: tuple[Name, ...] = ()
    on_no_match: Literal["review", "deny"] = "deny"
    on_error: Literal["review", "deny"] = "deny"
    groups: tuple[Name, ...] = ()
    threshold: Count = 1
    expires_in: ExpiresIn = timedelta(minutes=15)
    grant_ttl: GrantTtl = timedelta(minutes=15)
    uses: Count = 1
    timezone: TimeZone = "UTC"
    pii_in_text: PiiInText = "mask"
    chat_retention: ChatRetention = timedelta(hours=24)
    personal_retention: PersonalRetention | None = None


class Policy(Frozen):
    """policy.yaml as a whole."""

    version: Annotated[StrictInt, AfterValidator(_known_version)]
    lists: dict[ListName, Annotated[tuple[Word, ...], AfterValidator(_few_items)]] = {}
    channels: dict[Name, Channel] = {}
    defaults: Defaults = Defaults()
    actions: dict[ActionName, Action]
    rules: tuple[Rule, ...] = ()
