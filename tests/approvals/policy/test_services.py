from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from approvals.errors import CallbackNotAllowed, UnknownRequester
from approvals.model import ActionId, KeyId, PersonId, Requester, ServiceId
from approvals.policy.loader import Configuration, load_configuration
from approvals.policy.services import MachineRequester, Service
from tests.approvals.policy.example import write


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return load_configuration(write(tmp_path))


@pytest.fixture
def crm(configuration: Configuration) -> Service:
    service = configuration.services.service(ServiceId("crm"))
    assert service is not None
    return service


def test_a_key_leads_to_its_service(configuration: Configuration, crm: Service) -> None:
    found = configuration.services.key(KeyId("crm-1"))
    assert found is not None
    service, key = found
    assert service is crm
    assert key.hash.startswith("sha256:0123")
    assert key.not_after is not None
    assert key.not_after.isoformat() == "2030-01-30T23:00:00+00:00"
    assert configuration.services.key(KeyId("crm-3")) is None
    assert configuration.services.service(ServiceId("nobody")) is None


@pytest.mark.parametrize(
    ("action", "may"),
    [("customer.read", True), ("test.delete", True), ("test.deleted", False), ("other", False)],
)
def test_a_service_may_ask_what_its_entry_names(crm: Service, action: str, may: bool) -> None:
    assert crm.may_ask(ActionId(action)) is may


def test_a_requester_is_a_person_whom_the_service_may_name(
    configuration: Configuration, crm: Service
) -> None:
    asked = crm.requester("okta:00u2", configuration.people)
    assert asked == Requester(id="okta:00u2", person=PersonId("anna"))


def test_a_machine_comes_with_its_owner(configuration: Configuration, crm: Service) -> None:
    asked = crm.requester("batch:nightly", configuration.people)
    assert asked == Requester(id="batch:nightly", owner=PersonId("ben"))
    assert asked.responsible == "ben"


@pytest.mark.parametrize(
    ("service", "requester"),
    [
        ("crm", "okta:nobody"),  # among the service's globs, but no person
        ("crm", "ldap:anna"),
        ("quiet", "okta:00u2"),  # a person, but not one this service may name
    ],
)
def test_anybody_else_is_an_unknown_requester(
    configuration: Configuration, service: str, requester: str
) -> None:
    entry = configuration.services.service(ServiceId(service))
    assert entry is not None
    with pytest.raises(UnknownRequester) as caught:
        entry.requester(requester, configuration.people)
    assert requester not in caught.value.detail


def test_a_person_is_never_taken_for_a_machine_of_somebody_else(
    configuration: Configuration, crm: Service
) -> None:
    machine = MachineRequester(match="*", owner="ben")
    careless = crm.model_copy(update={"requesters": (), "machine_requesters": (machine,)})
    with pytest.raises(UnknownRequester):
        careless.requester("okta:00u2", configuration.people)
    assert careless.requester("okta:nobody", configuration.people).owner == "ben"


def test_callback_settings_are_as_written(crm: Service) -> None:
    assert crm.callback is not None
    assert crm.callback.origins == ("https://crm.internal.example", "http://127.0.0.1:8090")
    assert crm.callback.networks == (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    assert [source.env or source.file for source in crm.callback.secrets] == [
        "CRM_SECRET",
        "/run/secrets/crm",
    ]


def test_a_callback_goes_to_the_default_or_within_the_origins(
    configuration: Configuration, crm: Service
) -> None:
    assert crm.callback_url(None) == "https://crm.internal.example/placet"
    assert crm.callback_url("https://crm.internal.example:443/other?x=1")
    quiet = configuration.services.service(ServiceId("quiet"))
    assert quiet is not None
    assert quiet.callback_url(None) is None
    with pytest.raises(CallbackNotAllowed, match="no callback entry"):
        quiet.callback_url("https://crm.internal.example/placet")


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.internal.example.evil.example/placet",
        "https://crm.internal.example:8443/placet",
        "http://crm.internal.example/placet",
        "http://127.0.0.1:8091/",
        "https://crm.internal.example@evil.example/",
        "https://evil.example\\@crm.internal.example/",
        "https://crm.internal.example /",
        "https://crm.internal.example/#part",
        "https://crm.internal.example:99999/",
        "https://crm.internal.ex\u0430mple/",
        "ftp://crm.internal.example/",
        "https:///placet",
        "/placet",
        "https://crm.internal.example/" + "x" * 2048,
    ],
)
def test_a_callback_goes_nowhere_else(crm: Service, url: str) -> None:
    with pytest.raises(CallbackNotAllowed) as caught:
        crm.callback_url(url)
    assert url not in caught.value.detail


def test_this_host_is_called_back_in_the_demo_only(tmp_path: Path, crm: Service) -> None:
    demo = load_configuration(write(tmp_path), loopback=True).services.service(ServiceId("crm"))
    assert demo is not None
    assert demo.callback_url("http://127.0.0.1:5/any") == "http://127.0.0.1:5/any"
    with pytest.raises(CallbackNotAllowed):
        crm.callback_url("http://127.0.0.1:5/any")
