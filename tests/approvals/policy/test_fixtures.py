from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from approvals.errors import ConfigurationInvalid
from approvals.policy.fixtures import Difference, shown, untested_rules
from approvals.policy.loader import Reading, load_configuration, read_configuration
from approvals.policy.supposing import GivenFault, faults_of, suppose
from tests.approvals.policy.example import FILES, FIXTURES, POLICY, write

BASE: dict[str, JsonValue] = {"action": "customer.export", "now": "2026-03-02T10:00:00+01:00"}


def _read(directory: Path, fixtures: str = FIXTURES, policy: str = POLICY) -> Reading:
    return read_configuration(
        write(directory, {**FILES, "policy.yaml": policy, "fixtures.yaml": fixtures})
    )


def test_the_cases_are_judged_and_hold(tmp_path: Path) -> None:
    reading = _read(tmp_path)
    assert not reading.issues
    assert [(one.name, one.terms.matched.rule) for one in reading.results] == [
        ("an export needs two", "export-needs-two"),
        ("tests are free", "tests-are-free"),
    ]
    assert reading.configuration
    assert reading.configuration.policy == load_configuration(tmp_path).policy


def test_files_that_fail_their_own_fixtures_are_not_used_but_can_be_looked_into(
    tmp_path: Path,
) -> None:
    reading = _read(tmp_path, FIXTURES.replace("threshold: 2", "threshold: 3"))
    assert reading.configuration is not None
    assert [one.differences for one in reading.results] == [(Difference("threshold", 3, 2),), ()]
    with pytest.raises(ConfigurationInvalid, match="the case `an export needs two` fails"):
        load_configuration(tmp_path)


def test_with_faults_of_shape_no_case_is_judged(tmp_path: Path) -> None:
    reading = _read(tmp_path, policy=POLICY.replace("version: 1", "version: 2"))
    assert reading.configuration is None
    assert not reading.results


def test_a_faulty_case_is_told_beside_the_others(tmp_path: Path) -> None:
    broken = FIXTURES.replace("{decision: approve}", "{decision: allow}").replace(
        "service: crm", "service: crmm"
    )
    assert [str(issue).split(": ")[0] for issue in _read(tmp_path, broken).issues] == [
        "fixtures.yaml:3:12",
        "fixtures.yaml:14:24",
    ]


def test_a_file_that_is_no_yaml_is_one_fault(tmp_path: Path) -> None:
    [issue] = _read(tmp_path, "cases: [").issues
    assert issue.file == "fixtures.yaml"


def test_rules_that_no_case_meets_are_named(tmp_path: Path) -> None:
    reading = _read(tmp_path)
    assert reading.configuration
    assert untested_rules(reading.configuration.policy, reading.results) == ("never-in-bulk",)


def test_a_rule_in_shadow_is_met_where_it_fits(tmp_path: Path) -> None:
    policy = POLICY.replace("mode: enforce", "mode: shadow")
    fixtures = FIXTURES.replace("{decision: approve}", "{shadow: [tests-are-free]}")
    reading = _read(tmp_path, fixtures, policy)
    assert not reading.issues
    assert reading.configuration
    assert untested_rules(reading.configuration.policy, reading.results) == ("never-in-bulk",)


def test_a_claim_that_the_service_may_not_assert_is_dropped_and_named(tmp_path: Path) -> None:
    configuration = _read(tmp_path).configuration
    assert configuration
    given: dict[str, JsonValue] = {**BASE, "device.type": "phone", "geo.country": "DE"}
    supposed = suppose({**given, "service": "crm"}, configuration.policy, configuration.services)
    assert supposed.ignored == ("device.type",)
    assert supposed.inquiry.values["device.type"] == "unknown"
    assert supposed.inquiry.origin("geo.country") == "service"
    assert supposed.inquiry.origin("device.type") == "default"
    assert supposed.inquiry.origin("client.ip") == "placet"
    nobody = suppose(given, configuration.policy, configuration.services)
    assert nobody.ignored == ()
    assert nobody.inquiry.values["device.type"] == "phone"


def test_what_would_be_refused_before_policy_is_told_with_the_case(tmp_path: Path) -> None:
    configuration = _read(tmp_path).configuration
    assert configuration
    given: dict[str, JsonValue] = {**BASE, "service": "quiet", "request.purpose": "sport"}
    told = suppose(given, configuration.policy, configuration.services).hindrances
    assert told == ("quiet may not ask for customer.export (services.yaml)",)
    read = suppose(
        {**given, "action": "customer.read"}, configuration.policy, configuration.services
    )
    assert read.hindrances == ("customer.read accepts support only as purpose",)


def test_what_is_given_becomes_the_request(tmp_path: Path) -> None:
    configuration = _read(tmp_path).configuration
    assert configuration
    given: dict[str, JsonValue] = {
        **BASE,
        "now": "2026-03-02T10:00:00+01:00",
        "action": "customer.read",
        "requester.id": "okta:1",
        "request.record_count": 7,
        "request.purpose": "support",
        "request.data_classes": ["health", "contact"],
        "client.ip": "192.0.2.1",
    }
    inquiry = suppose(given, configuration.policy, configuration.services).inquiry
    assert inquiry.at.isoformat() == "2026-03-02T09:00:00+00:00"
    assert {name: inquiry.values[name] for name in given if name in inquiry.values} == {
        "requester.id": "okta:1",
        "request.record_count": 7,
        "request.purpose": "support",
        "request.data_classes": ["contact", "health"],
        "client.ip": "192.0.2.1",
    }
    bare = suppose(BASE, configuration.policy, configuration.services).inquiry
    assert "request.record_count" not in bare.values
    assert bare.values["request.purpose"] == ""


def test_all_that_is_wrong_with_what_is_given_is_told(tmp_path: Path) -> None:
    configuration = _read(tmp_path).configuration
    assert configuration
    given: dict[str, JsonValue] = {"action": 5, "now": None, "service": "crmm", "client.ip": 5}
    faults = list(faults_of(given, configuration.policy, configuration.services))
    [late] = faults_of({**BASE, "now": "soon"}, configuration.policy, configuration.services)
    assert late.name == "now"
    assert faults == [
        GivenFault("action", "`action` does not fit", "Write an action of policy.yaml"),
        GivenFault(
            "client.ip", "`client.ip` does not fit", "Write an IP address such as 192.0.2.1"
        ),
        GivenFault(
            "now", "`now` is missing", "Give a time with its zone, such as 2026-03-02T09:00:00Z"
        ),
        GivenFault("service", "no service is called `crmm`", "Did you mean `crm`?"),
    ]


@pytest.mark.parametrize(
    ("value", "words"), [(["a", "b"], "a, b"), ([], "none"), (2, "2"), ("deny", "deny")]
)
def test_expected_values_are_shown_in_words(value: JsonValue, words: str) -> None:
    assert shown(value) == words


def test_the_text_that_was_judged_is_at_hand(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path))
    assert configuration.text == POLICY
    assert replace(configuration).text == POLICY
