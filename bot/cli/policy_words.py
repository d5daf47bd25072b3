"""What policy decides, and how it came to it, in words. Decides nothing.

Values are shown as they were judged; of a real request only what its card shows anyway.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from approvals.answer import Json, moment
from approvals.model import MatchedPolicy
from approvals.policy.analysis import Part, Rulebook, Terms, Trial
from approvals.policy.inquiry import Inquiry
from approvals.policy.values import written
from approvals.privacy import masking
from bot.terminal import shortened, wrapped

_PARTS: Mapping[Part, str] = {"deny": "deny pass", "rule": "rules", "shadow": "shadow"}
_TRUTHS = {True: "TRUE", False: "false", None: "ERROR"}
_ORIGINS = {"action": "the action", "default": "default", "placet": "Placet"}
_HIDDEN = "not shown"
_WRITTEN_BY_SERVICES = frozenset({"request.data_classes"})  # of those that are shown at all
_MOST_ID, _MOST_VALUE = 32, 60  # columns
_PART_WIDTH, _TRUTH_WIDTH = 11, 7


@dataclass(frozen=True, slots=True)
class Explained:
    """A request as judged. `claimant` is whose claims its values are; `shown` replaces values.

    An attribute that `shown` has as None stays hidden.
    """

    inquiry: Inquiry
    rulebook: Rulebook
    terms: Terms
    trials: Sequence[Trial]
    claimant: str
    shown: Mapping[str, str | None] = field(default_factory=dict)

    def values(self, trial: Trial) -> Iterator[tuple[str, str | None, str]]:
        """Each attribute that a rule names: name, value in words or None, origin."""
        for name in trial.names:
            if name in self.rulebook.policy.lists:
                continue  # it stands in the file, and is long
            origin = self.inquiry.origin(name)
            said = self.claimant if origin == "service" else _ORIGINS[origin]
            if origin == "action" and self._has_added_classes():
                said = f"{said} and {self.claimant}"
            yield name, self._value(name), said

    def _has_added_classes(self) -> bool:
        action = self.rulebook.policy.actions[self.inquiry.action]
        return self.inquiry.values["request.data_classes"] != list(action.data_classes)

    def _value(self, name: str) -> str | None:
        if name in self.shown:
            return self.shown[name] or _HIDDEN
        if name == "now":
            return moment(self.inquiry.at)
        if name == "tz":
            return self.rulebook.policy.defaults.timezone
        if name not in self.inquiry.values:
            return None
        value = shortened(_quoted(self.inquiry.values[name]), _MOST_VALUE)
        return masking.said(value) if name in _WRITTEN_BY_SERVICES else value


def explained(
    inquiry: Inquiry,
    rulebook: Rulebook,
    claimant: str,
    shown: Mapping[str, str | None] | None = None,
) -> Explained:
    """`inquiry` judged by `rulebook`, rule by rule."""
    terms, trials = rulebook.terms(inquiry), rulebook.explain(inquiry)
    return Explained(inquiry, rulebook, terms, trials, claimant, shown or {})


def asked(matched: MatchedPolicy) -> list[str]:
    """What a decision asks of people: `review`, `2 approvals`, `privacy + duty`."""
    parts: list[str] = [matched.decision]
    if matched.decision != "review":
        return parts
    approvals = f"{matched.threshold} approval" + ("" if matched.threshold == 1 else "s")
    if matched.stages:
        told = [f"{one.threshold} of {' + '.join(one.groups)}" for one in matched.stages]
        parts.append(f"{approvals}: {', then '.join(told)}")
    else:
        parts += [approvals, " + ".join(matched.groups)]
    parts += ["different groups"] if matched.distinct_groups else []
    return parts + (["on the card too"] if matched.quick_approve else [])


def headline(one: Explained, width: int) -> Iterator[str]:
    """The action, the policy and what it decides; below it times and words."""
    matched = one.terms.matched
    told = f"policy {one.rulebook.version} -> {', '.join(asked(matched))}"
    yield from wrapped(f"{one.inquiry.action}: {told}", width)
    for label, text in _facts(one.terms):
        first, *more = wrapped(text, width - 12)
        yield f"  {label:10}{first}"
        yield from (f"{'':12}{line}" for line in more)


def _facts(terms: Terms) -> Iterator[tuple[str, str]]:
    matched = terms.matched
    yield "rule", f"{matched.rule}: {matched.why}"
    if matched.say:
        yield "say", matched.say
    if matched.decision == "review":
        more = [f"reminds after {written(after)}" for after in matched.remind]
        for step in matched.escalate:
            who = [*step.groups, *(f"told in {name}" for name in step.notify)]
            more.append(f"after {written(step.after)} also {' + '.join(who)}")
        yield "expires", "; ".join([f"after {written(terms.expires_in)}", *more])
    if matched.decision != "deny":
        uses = "once" if terms.uses == 1 else f"{terms.uses} times"
        held = f"; must hold: {', '.join(matched.must_hold)}" if matched.must_hold else ""
        yield "grant", f"{written(terms.grant_ttl)}, {uses}{held}"
    if told := list(_privacy(matched)):
        yield "privacy", "; ".join(told)


def _privacy(matched: MatchedPolicy) -> Iterator[str]:
    """What is told and kept of persons, where the policy says so."""
    if matched.show_justification:
        yield "the justification is shown in the channel"
    if matched.personal_retention is not None:
        yield f"personal data is forgotten {written(matched.personal_retention)} after the end"


def trial_lines(one: Explained, width: int, *, until_decided: bool = False) -> Iterator[str]:
    """Each rule about the action in the order they are tried, with the values it names."""
    trials = [trial for trial in one.trials if trial.is_reached] if until_decided else one.trials
    room = min(max((len(trial.rule.id) for trial in trials), default=0), _MOST_ID) + 2
    before: Part | None = None
    for trial in trials:
        label = _PARTS[trial.part] if trial.part != before else ""
        before = trial.part
        head = f" {label:{_PART_WIDTH}}{shortened(trial.rule.id, room - 2):{room}}"
        head += f"{_verdict(trial):{_TRUTH_WIDTH}}"
        texts = list(_told(one, trial)) or [""]
        lines = [line for text in texts for line in wrapped(text, max(width - len(head), 24))]
        yield (head + lines[0]).rstrip()
        yield from (" " * len(head) + line for line in lines[1:])


def _verdict(trial: Trial) -> str:
    if not trial.is_reached and trial.part != "shadow":
        return "-"
    return _TRUTHS[trial.truth]


def _told(one: Explained, trial: Trial) -> Iterator[str]:
    """What stands behind a rule: that it decided, its error, each attribute with its value."""
    if not trial.is_reached and trial.part != "shadow":
        yield "not reached"
        return
    if trial.has_decided:
        yield "<- decided"
    if trial.truth is None:
        yield trial.error
    elif trial.error:
        yield f"{trial.error}: who approves goes by what is known"
    for name, value, said in one.values(trial):
        if value is not None:
            yield f"{name}={value} ({said})"
        elif trial.truth is not None or name not in trial.error:
            yield f"{name} is absent"


def explained_data(one: Explained) -> Json:
    """The whole for machines."""
    return {
        "action": one.inquiry.action,
        "policy": one.rulebook.version,
        **terms_data(one.terms),
        "trials": [_trial_data(one, trial) for trial in one.trials],
    }


def terms_data(terms: Terms) -> Json:
    """Terms for machines; lengths are whole seconds."""
    matched = terms.matched
    kept = matched.personal_retention
    told: Json = {
        "decision": matched.decision,
        "rule": matched.rule,
        "why": matched.why,
        "say": matched.say,
        "threshold": matched.threshold,
        "groups": list(matched.groups),
        "stages": [
            {"threshold": one.threshold, "groups": list(one.groups)} for one in matched.stages
        ],
        "distinct_groups": matched.distinct_groups,
        "shadow": list(matched.shadow),
        "shadow_failed": list(matched.shadow_failed),
        "show_justification": matched.show_justification,
        "personal_retention": int(kept.total_seconds()) if kept is not None else None,
        "expires_in": int(terms.expires_in.total_seconds()),
    }
    grant: Json = {"ttl": int(terms.grant_ttl.total_seconds()), "uses": terms.uses}
    is_granting = matched.decision != "deny"
    return told | {"grant": grant | {"must_hold": list(matched.must_hold)} if is_granting else None}


def _trial_data(one: Explained, trial: Trial) -> Json:
    values: list[Json] = [
        {"name": name, "value": value, "origin": said} for name, value, said in one.values(trial)
    ]
    return {
        "rule": trial.rule.id,
        "part": trial.part,
        "truth": trial.truth,
        "error": trial.error or None,
        "is_reached": trial.is_reached,
        "has_decided": trial.has_decided,
        "attributes": [*values],
    }


def _quoted(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_quoted, value))}]"
    is_word = isinstance(value, str) and value != "" and " " not in value
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)
