"""services.yaml: which system may ask for what, for whom, and where its callbacks go."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from approvals.destinations import LOOPBACK_HOSTS, Destinations, check_url
from approvals.errors import CallbackNotAllowed, UnknownRequester
from approvals.model import ActionId, Frozen, KeyId, PersonId, Requester, ServiceId
from approvals.policy.globs import matches, matches_any
from approvals.policy.people import People
from approvals.policy.values import (
    EnvironmentName,
    KeyHash,
    KeyName,
    Moment,
    Name,
    Often,
    PersonName,
    Word,
    fault,
)

_WIDEST = {4: 8, 6: 16}  # the shortest prefix of a callback network, by IP version
_MAX_KEYS = 2  # the live one and, while rotating, the next
_ONE_TOO_MANY = (
    "Remove one that has run out (`not_after`), or the one unused for longest, which "
    "`placet key list` tells; two are enough to rotate"
)


def _origin(text: str) -> str:
    try:
        origin = Destinations((text,)).urls[0]
        if origin.scheme != "https" and origin.raw_host not in LOOPBACK_HOSTS:
            raise ValueError("it is plain http, which is for loopback only")
    except ValueError as error:
        remedy = "Write an origin such as https://crm.internal.example"
        raise fault(f"is no origin: {error}", remedy) from None
    return text


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(str(value))
    except ValueError:
        remedy = "Write it as 10.1.0.0/16, with no bits set behind the mask"
        raise fault("is not a network", remedy) from None
    widest = _WIDEST[network.version]
    if network.prefixlen < widest:
        # 0.0.0.0/0 would undo the guard against callbacks to inner hosts.
        remedy = "Name the receiver's own network, such as 10.1.2.0/24"
        raise fault(f"is wider than /{widest}", remedy)
    return network


def _something(actions: tuple[str, ...]) -> tuple[str, ...]:
    if not actions:
        raise fault("is empty, so the service may ask nothing", "Name an action")
    return actions


def _few_keys(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
    if len(keys) > _MAX_KEYS:
        raise fault("holds more than two keys", _ONE_TOO_MANY)
    return keys


class ApiKey(Frozen):
    """`hash` is of the whole text of the key; the key itself is stored nowhere."""

    id: KeyName
    hash: KeyHash
    not_after: Moment | None = None


class MachineRequester(Frozen):
    """Requesters that are no persons, and the person who answers for them."""

    match: Word
    owner: PersonName


class SecretSource(Frozen):
    """Where a callback secret is read from: an environment variable or a file."""

    env: EnvironmentName | None = None
    file: Word | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> SecretSource:
        if (self.env is None) == (self.file is None):
            raise fault("names no single source", "Write either env or file")
        return self


def _signed(secrets: tuple[SecretSource, ...]) -> tuple[SecretSource, ...]:
    if not secrets:
        raise fault("is empty, so callbacks cannot be signed", "Name an env or a file")
    return secrets


class Callback(Frozen):
    """Where a service is called back, and with which secrets that is signed."""

    origins: tuple[Annotated[StrictStr, AfterValidator(_origin)], ...] = ()
    networks: tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)], ...] = ()
    default: StrictStr | None = None
    secrets: Annotated[tuple[SecretSource, ...], AfterValidator(_signed)]

    @field_validator("default", mode="after")
    @classmethod
    def _within_origins(cls, default: str, info: ValidationInfo) -> str:
        if "origins" in info.data and "networks" in info.data:
            places = Destinations(info.data["origins"], info.data["networks"], loopback=True)
            try:
                check_url(default, places)
            except CallbackNotAllowed as error:
                remedy = "Name a URL below one of `origins`"
                raise fault(error.message, remedy) from None
        return default

    def destinations(self, *, loopback: bool) -> Destinations:
        """Where callbacks may go; `loopback` admits this host, which only the demo does."""
        return Destinations(self.origins, self.networks, loopback)


class Rate(Frozen):
    """How much a service may ask: in a minute, for one requester in a minute, and pending at once.

    Approvers who are asked too much stop looking, so these hold where the file says nothing.
    """

    per_minute: Often = 600
    per_requester: Often = 60
    pending_per_requester: Often = 20


class ServiceEntry(Frozen):
    """A service as written, below its id."""

    keys: Annotated[tuple[ApiKey, ...], AfterValidator(_few_keys)] = ()
    actions: Annotated[tuple[Word, ...], AfterValidator(_something)]
    requesters: tuple[Word, ...] = ()
    machine_requesters: tuple[MachineRequester, ...] = ()
    asserts: tuple[Word, ...] = ()
    callback: Callback | None = None
    rate: Rate = Rate()


class Service(ServiceEntry):
    """A system that calls Placet."""

    id: ServiceId
    may_call_loopback: bool = False

    def may_ask(self, action: ActionId) -> bool:
        """Whether the service's entry names the action."""
        return matches_any(self.actions, action)

    def requester(self, requester_id: str, people: People) -> Requester:
        """Whom the service means: a person it may name, or a machine with an owner.

        Raises `UnknownRequester`, with no hint whether the person exists.
        """
        person = people.by_requester_id(requester_id)
        if person is not None:
            # Never a machine: as one, a person could approve what they asked for themselves.
            if not matches_any(self.requesters, requester_id):
                raise _unknown_requester()
            return Requester(id=requester_id, person=person.id)
        for machine in self.machine_requesters:
            if matches(machine.match, requester_id):
                return Requester(id=requester_id, owner=PersonId(machine.owner))
        raise _unknown_requester()

    def callback_url(self, asked: str | None) -> str | None:
        """Where the outcome goes: `asked` if it is within the origins, else the default.

        Raises `CallbackNotAllowed`.
        """
        if asked is None:
            return self.callback.default if self.callback else None
        if self.callback is None:
            raise CallbackNotAllowed(
                "/callback_url",
                "is refused: this service has no callback entry in services.yaml",
                "Leave it out and poll, or ask an admin to add one",
            )
        check_url(asked, self.callback.destinations(loopback=self.may_call_loopback))
        return asked


def _unknown_requester() -> UnknownRequester:
    return UnknownRequester(
        "/requester/id",
        "is nobody for whom this service may ask",
        "Send the id of a person of people.yaml (requester_ids) whom services.yaml lets this "
        "service name (requesters, machine_requesters), or ask an admin to add it there",
    )


def _named(service: ServiceId, entry: ServiceEntry, *, loopback: bool) -> Service:
    fields = {name: getattr(entry, name) for name in ServiceEntry.model_fields}
    return Service.model_validate({"id": service, "may_call_loopback": loopback, **fields})


class ServicesDocument(Frozen):
    """services.yaml as a whole."""

    services: dict[Name, ServiceEntry]


class Services:
    """The services, found by their id or by one of their keys."""

    def __init__(self, document: ServicesDocument, *, loopback: bool = False) -> None:
        self._services = {
            ServiceId(name): _named(ServiceId(name), entry, loopback=loopback)
            for name, entry in document.services.items()
        }
        self._keys = {
            KeyId(key.id): (service, key)
            for service in self._services.values()
            for key in service.keys
        }

    def key(self, key: KeyId) -> tuple[Service, ApiKey] | None:
        """The key and whose it is; whether it is the right one, its hash and date must tell."""
        return self._keys.get(key)

    def service(self, service: ServiceId) -> Service | None:
        """The service's entry."""
        return self._services.get(service)

    def all(self) -> tuple[Service, ...]:
        """Every service, in the order of the file."""
        return tuple(self._services.values())
