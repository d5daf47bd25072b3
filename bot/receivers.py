"""What the configuration names outside itself: chat platforms, receivers, the secrets that sign."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from approvals.destinations import Destinations, check_url
from approvals.errors import CallbackNotAllowed, ConfigurationInvalid
from approvals.model import ServiceId
from approvals.policy.issues import Issue
from approvals.policy.loader import Configuration, notify_faults
from approvals.policy.services import Callback as CallbackEntry
from approvals.policy.services import SecretSource, Service
from approvals.policy.source import Source, Steps
from approvals.signing import BadSecret, callback_secret
from bot.callbacks import Receiver
from bot.secret_files import UnfitSecret, read_secret

_REMEDY = "Give it as whsec_ and base64 of 24 to 64 random bytes"
_LEAST_DISTINCT = 8
# The secret in the examples of Standard Webhooks: whoever copies them signs with it.
_PUBLISHED = callback_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def receivers_of(
    configuration: Configuration, environment: Mapping[str, str], *, is_demo: bool
) -> dict[ServiceId, Receiver]:
    """Every service with a callback entry.

    Raises `ConfigurationInvalid` with every `notify` that reaches nobody, every receiver that may
    not be called from here, and every secret that cannot be used. The demo's page stands in for
    every channel, and its receivers may be on this host.
    """
    source = configuration.sources.services
    faults: list[Issue] = []
    if not is_demo:  # no platform can be configured yet
        faults += notify_faults(configuration.policy, frozenset(), configuration.sources.policy)
    secrets = _Secrets(configuration.directory, environment, source, faults)
    receivers = {}
    for service in configuration.services.all():
        if service.callback is None:
            continue
        destinations = service.callback.destinations(loopback=is_demo)
        faults += _unfit(service.id, service.callback, destinations, source)
        receivers[service.id] = Receiver(destinations, secrets.of(service))
    if faults:
        raise ConfigurationInvalid(sorted(faults))
    return receivers


def _unfit(
    service: ServiceId, callback: CallbackEntry, destinations: Destinations, source: Source
) -> Iterator[Issue]:
    """What may stand in the file for the demo's sake but leads nowhere elsewhere."""
    entry: Steps = ("services", service, "callback")
    urls = {(*entry, "origins", index): url for index, url in enumerate(callback.origins)}
    if callback.default:
        urls[*entry, "default"] = callback.default
    for steps, url in urls.items():
        try:
            check_url(url, destinations)
        except CallbackNotAllowed as error:
            remedy = "Name an https address that the network may reach"
            yield source.issue(steps, f"the callback URL {error.message}", remedy)


class _Secrets:
    """Reads callback secrets, and adds to `faults` each that cannot be used, never its text."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        source: Source,
        faults: list[Issue],
    ) -> None:
        self._directory = directory
        self._environment = environment
        self._source = source
        self._faults = faults

    def of(self, service: Service) -> tuple[bytes, ...]:
        """The live secrets of a service, in the order of the file."""
        sources = service.callback.secrets if service.callback else ()
        read = [self._secret(service.id, *numbered) for numbered in enumerate(sources)]
        return tuple(secret for secret in read if secret)

    def _secret(self, service: ServiceId, index: int, secret: SecretSource) -> bytes | None:
        try:
            return _strong(callback_secret(self._text(secret)))
        except BadSecret as error:
            message, remedy = str(error), _REMEDY
        except KeyError:
            message, remedy = "is not set", _REMEDY
        except UnfitSecret as error:
            message, remedy = error.message, error.remedy
        named = f"env {secret.env}" if secret.env else f"file {secret.file}"
        steps = ("services", service, "callback", "secrets", index)
        told = f"the callback secret in {named} {message}"
        self._faults.append(self._source.issue(steps, told, remedy))
        return None

    def _text(self, secret: SecretSource) -> str:
        if secret.env:
            return self._environment[secret.env].strip()
        return read_secret(self._directory / str(secret.file))


def _strong(secret: bytes) -> bytes:
    if secret == _PUBLISHED or len(set(secret)) < _LEAST_DISTINCT:
        raise BadSecret("is a published example or easily guessed")
    return secret
