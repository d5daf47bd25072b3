"""Which service may be called back where, and the secrets that sign: services.yaml, resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from approvals.destinations import Destinations, check_url
from approvals.errors import CallbackNotAllowed, ConfigurationInvalid
from approvals.model import ServiceId
from approvals.policy.services import Callback as CallbackEntry
from approvals.policy.services import SecretSource, Service, Services
from approvals.signing import BadSecret, callback_secret
from bot.callbacks import Receiver

_REMEDY = "Give it as whsec_ and base64 of 24 to 64 random bytes"


@dataclass(frozen=True, slots=True)
class CallbackFault:
    """A callback entry that cannot work here. Never holds a secret."""

    service: ServiceId
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"services.yaml: {self.service}: {self.message}. {self.remedy}."


def receivers_of(
    services: Services, environment: Mapping[str, str], *, loopback: bool
) -> dict[ServiceId, Receiver]:
    """Every service with a callback entry. Raises `ConfigurationInvalid` with every bad secret.

    `loopback` admits receivers on this host; only the demo sets it.
    """
    faults: list[CallbackFault] = []
    receivers = {}
    for service in services.all():
        if service.callback is None:
            continue
        secrets = _secrets(service, environment, faults)
        destinations = service.callback.destinations(loopback=loopback)
        faults += _unfit(service.id, service.callback, destinations)
        receivers[service.id] = Receiver(destinations, secrets)
    if faults:
        raise ConfigurationInvalid(faults)
    return receivers


def _unfit(
    service: ServiceId, callback: CallbackEntry, destinations: Destinations
) -> Iterator[CallbackFault]:
    """What may stand in the file for the demo's sake but leads nowhere elsewhere."""
    for url in (*callback.origins, *filter(None, [callback.default])):
        try:
            check_url(url, destinations)
        except CallbackNotAllowed as error:
            remedy = "Name an https address that the network may reach"
            yield CallbackFault(service, f"a callback URL {error.message}", remedy)


def _secrets(
    service: Service, environment: Mapping[str, str], faults: list[CallbackFault]
) -> tuple[bytes, ...]:
    secrets = []
    for source in service.callback.secrets if service.callback else ():
        name = f"env {source.env}" if source.env else f"file {source.file}"
        try:
            secrets.append(callback_secret(_text(source, environment)))
        except BadSecret as error:
            faults.append(CallbackFault(service.id, f"callback secret {name} {error}", _REMEDY))
        except (KeyError, OSError):
            message = f"callback secret {name} cannot be read"
            faults.append(CallbackFault(service.id, message, _REMEDY))
    return tuple(secrets)


def _text(source: SecretSource, environment: Mapping[str, str]) -> str:
    if source.env:
        return environment[source.env].strip()
    return Path(str(source.file)).read_text(encoding="utf-8").strip()
