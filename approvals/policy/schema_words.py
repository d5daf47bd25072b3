"""What each key of the four files means, in the few words that an editor shows beside it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from approvals.policy import document, fixtures, people, services

_WHO = "Groups of people.yaml whose approvers may decide"
_WHERE = "Channels in which it is told"
_LENGTH = "of rule, action and defaults the shortest holds"

WORDS: Mapping[type[BaseModel], Mapping[str, str]] = {
    document.Policy: {
        "version": "The version of this file's form: 1",
        "lists": "Named lists of words, in capitals, that conditions may use",
        "channels": "Where cards go, by names that `notify` uses",
        "defaults": "What holds where neither the rule nor the action says otherwise",
        "actions": "The catalogue: what does not stand here cannot be asked for",
        "rules": "Deny rules hold wherever they stand; of the others the first that fits decides",
    },
    document.Defaults: {
        "notify": _WHERE,
        "on_no_match": "What happens when no rule fits",
        "on_error": "What happens when a rule cannot be judged; a deny rule then always denies",
        "groups": _WHO + " where a rule names none",
        "threshold": "How many must approve",
        "expires_in": f"After this nobody can decide any more; {_LENGTH}",
        "grant_ttl": f"How long an approval may be used, 60m at most; {_LENGTH}",
        "uses": "How often an approval may be used; of rule and action the smaller holds",
        "timezone": "What `tz` is in conditions, such as Europe/Berlin",
        "pii_in_text": "What becomes of personal data in free text; secrets are always refused",
        "chat_retention": "How long a final card keeps its outcome, 1m to 7d; 24h without this key",
        "personal_retention": "How long after its end a request keeps personal data, "
        "1d to 3650d; until it is erased without this key",
    },
    document.Action: {
        "title": "What people see it called",
        "description": "What it does, for people who decide",
        "data_classes": "The kinds of personal data it touches; a request may add to them",
        "fields": "How each top-level key of `params` is shown; others stay hidden",
        "requires": "What a request must carry",
        "purposes": "The purposes a request may state; any other is refused",
        "expires_in": f"After this nobody can decide any more; {_LENGTH}",
        "grant_ttl": f"How long an approval may be used, 60m at most; {_LENGTH}",
        "uses": "How often an approval may be used",
        "receipt_within": "How soon after its use a grant owes a receipt; without it none is due",
    },
    document.ShownField: {
        "show": "How approvers see the value",
        "scope": "Within what the same value gets the same pseudonym; only with `show: pseudonym`",
    },
    document.Channel: {
        "slack": "The id of a Slack channel, C...",
        "teams": "A channel of Microsoft Teams",
    },
    document.TeamsChannel: {"team": "The team's id", "channel": "The channel's id, 19:..."},
    document.Rule: {
        "id": "Its name in answers, cards and the audit",
        "why": "The reason, as people read it",
        "mode": "`shadow` only records whether it would fit",
        "actions": "The actions it is about, `*` for any text; all without this key",
        "when": "A condition in CEL; `true` without this key",
        "then": "What it decides",
    },
    document.Then: {
        "decision": "approve, review (people decide) or deny",
        "say": "What the service is told",
        "threshold": "How many must approve",
        "groups": _WHO,
        "distinct_groups": "Each approval counted comes from another group",
        "stages": "Reviews one after the other, instead of threshold and groups",
        "expires_in": f"After this nobody can decide any more; {_LENGTH}",
        "remind": "When to remind, from the opening on",
        "escalate": "Whom to ask besides when time goes by",
        "grant_ttl": f"How long an approval may be used, 60m at most; {_LENGTH}",
        "uses": "How often an approval may be used",
        "quick_approve": "Approve may stand on the card, without the full view",
        "show_justification": "`channel` shows the requester's scanned words on the card too",
        "notify": _WHERE,
        "must_hold": "Attributes that must be the same when the approval is used",
    },
    document.StageEntry: {"threshold": "How many must approve", "groups": _WHO},
    document.EscalationEntry: {
        "after": "When, from the opening on",
        "groups": "Groups that may decide from then on too",
        "notify": "Channels in which it is told from then on too",
    },
    people.PeopleDocument: {
        "people": "Everybody whom Placet knows",
        "groups": "Who decides together, by the names that policy uses",
    },
    people.PersonEntry: {
        "id": "Their name in the audit, which never changes",
        "name": "How others read it",
        "roles": "What they may do: decide, administer, look",
        "requester_ids": "The ids by which services name them",
        "slack": "Who they are on Slack",
        "teams": "Who they are on Microsoft Teams",
    },
    people.SlackUser: {"team": "The workspace's id, T...", "user": "The user's id, U..."},
    people.TeamsUser: {"tenant": "The tenant's id", "object": "The user's object id"},
    people.Group: {"members": "Ids of people in this file"},
    services.ServicesDocument: {"services": "Who may ask, by the name that cards show"},
    services.ServiceEntry: {
        "keys": "Its API keys by their hashes, two at most; `placet key new` adds one",
        "actions": "The actions it may ask for, `*` for any text",
        "requesters": "The requester ids of people it may name, `*` for any text",
        "machine_requesters": "Requesters that are no people",
        "asserts": "The attributes whose values it is trusted to send",
        "callback": "Where it is told of outcomes",
        "rate": "How much it may ask",
    },
    services.Rate: {
        "per_minute": "Requests in a minute, repeats too; 600 without this key",
        "per_requester": "New requests for one requester in a minute; 60 without this key",
        "pending_per_requester": "Of one requester pending at once; 20 without this key",
    },
    services.ApiKey: {
        "id": "The key's id, which stands in the key itself",
        "hash": "sha256: and the hex digest of the whole key",
        "not_after": "The key ends by itself then",
    },
    services.MachineRequester: {
        "match": "The requester ids, `*` for any text",
        "owner": "The person who answers for them and may not approve",
    },
    services.Callback: {
        "origins": "Where callbacks may go, such as https://crm.internal.example",
        "networks": "Inner networks that those hosts may be in",
        "default": "The URL where a request names none",
        "secrets": "What callbacks are signed with; while rotating, two",
    },
    services.SecretSource: {
        "env": "The environment variable that holds it",
        "file": "The file that holds it, counted from this directory",
    },
    fixtures.FixturesDocument: {
        "base": "The request that every case begins with",
        "cases": "Made-up requests, and what policy must say of them",
    },
    fixtures.Case: {
        "name": "What it shows, in words",
        "given": "What differs from the base; null takes an attribute away",
        "expect": "What policy must say; a key left out is not compared",
    },
    fixtures.Expected: {
        "decision": "approve, review or deny",
        "rule": "The rule that decides, or no-match",
        "threshold": "How many must approve, over all stages; 0 without a review",
        "shadow": "The rules in shadow mode that fit",
    },
}
