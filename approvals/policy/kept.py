"""A policy by its text alone: one kept in the store, or a policy.yaml without its neighbours."""

from __future__ import annotations

from approvals.errors import ConfigurationInvalid
from approvals.policy.analysis import Rulebook
from approvals.policy.conditions import unsound_conditions
from approvals.policy.document import LATER, Policy
from approvals.policy.loader import POLICY, SERVICES, policy_version
from approvals.policy.shapes import shape
from approvals.policy.soundness import idle_scopes, unsound_rules
from approvals.policy.source import Source
from approvals.policy.yaml_source import parse_source


def rulebook_of(source: Source, version: str | None = None) -> Rulebook:
    """The policy in `source`, judged without people and services.

    `version` is the one it was kept under. Raises `ConfigurationInvalid` with every fault.
    """
    file = shape(source, Policy, LATER)
    issues = {*file.issues, *unsound_rules(file), *idle_scopes(source)}
    issues |= {*unsound_conditions(file, Source(SERVICES))}
    if issues or file.model is None:
        raise ConfigurationInvalid(sorted(issues))
    return Rulebook(file.model, version or policy_version(file.model))


def kept_rulebook(text: str, version: str) -> Rulebook:
    """The policy whose text was kept as `version`. Raises `ConfigurationInvalid`, `BadCondition`.

    It was in force, so what a later release finds unwise in it is no reason to refuse it.
    """
    file = shape(parse_source(POLICY, text.encode()), Policy, LATER)
    if file.issues or file.model is None:
        raise ConfigurationInvalid(file.issues)
    return Rulebook(file.model, version)
