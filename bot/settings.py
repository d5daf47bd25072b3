"""Settings: the environment, read once into frozen data and handed on.

Every fault is told at once, naming variable and remedy, and never a value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from approvals.errors import ConfigurationInvalid
from approvals.model import Frozen
from approvals.policy.issues import nearest
from approvals.store.health import Durability
from bot import setting_values as values
from bot.secret_files import (
    UnfitSecret,
    made_secret,
    new_signing,
    random_text,
    read_secret,
    signing,
    strong,
)
from bot.setting_values import LogLevel, Network

if TYPE_CHECKING:
    from approvals.signing_keys import SigningKeys

PREFIX = "PLACET_"
_PLAIN = (
    "DATA_DIR", "NAMESPACE", "CONFIG_DIR", "BASE_URL", "HOST", "PORT", "LOG_LEVEL",
    "TRUSTED_PROXIES", "AUDIT_DIR", "DURABILITY", "WAIT_REPLICAS", "WAIT_MS", "SLACK_TEAM_ID",
    "SLACK_API_URL", "TEAMS_APP_ID", "TEAMS_TENANT_ID", "TEAMS_OPENID_URL", "TEAMS_SERVICE_HOSTS",
)  # fmt: skip
_SECRET = (
    "REDIS_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN",
    "TEAMS_APP_PASSWORD", "TEAMS_STATIC_TOKEN", "SIGNING_KEY", "AUDIT_KEY", "CHECKPOINT_KEY",
    "PSEUDONYM_KEY", "VAULT_KEY", "SESSION_KEY",
)  # fmt: skip
# What services call us with: who sets these where Placet runs has made no mistake.
_OF_CALLERS = ("URL", "API_KEY")
# Later issues' names are known too, for the same reason.
KNOWN = frozenset((*_PLAIN, *_SECRET, *(name + "_FILE" for name in _SECRET), *_OF_CALLERS))
# Kubernetes sets these in every pod beside a Service named `placet`, whatever the pod is for.
_SERVICE_LINK = re.compile(
    r"SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?"
)
_SET_TEXT = "Set it to 32 or more random characters, or name a file of mode 0600 in {}_FILE."
_SET_PEM = (
    "Set it to what `placet key rotate` or `openssl ecparam -genkey -name prime256v1 -noout` "
    "prints, or name a file of mode 0600 that holds it in {}_FILE."
)
# By field: how a missing key is made, and how its text becomes the secret.
_MADE: Mapping[str, tuple[Callable[[], str], Callable[[str], SecretStr]]] = {
    "audit_key": (random_text, strong),
    "pseudonym_key": (random_text, strong),
    "vault_key": (random_text, strong),
    "session_key": (random_text, strong),
    "signing_key": (new_signing, signing),
}
KEYS_OF_STORE = ("audit_key", "pseudonym_key", "vault_key")
RUNNING_TELLS = ("NAMESPACE", "CONFIG_DIR", "DURABILITY")  # running.json holds them too
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong variable and what to do about it."""

    variable: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.message}. {self.remedy}"


class SecretKeys(Frozen):
    """The keys that Redis never sees."""

    audit: SecretStr
    pseudonym: SecretStr
    vault: SecretStr


class Settings(Frozen):
    """What the operator chose. `redis_url` may hold a password, so it is a secret too."""

    redis_url: SecretStr | None = None
    data_dir: Path = Path(".placet")
    namespace: str = "default"
    config_dir: Path = Path("config")
    base_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    is_port_given: bool = False
    log_level: LogLevel = "info"
    trusted_proxies: tuple[Network, ...] = ()
    durability: Durability = "local"
    wait_replicas: int = 1
    wait_ms: int = 200
    audit_key: SecretStr | None = None
    pseudonym_key: SecretStr | None = None
    vault_key: SecretStr | None = None  # wraps the keys of data subjects
    signing_key: SecretStr | None = None  # PEM blocks that `SigningKeys` can read
    session_key: SecretStr | None = None  # where none is, there is no console
    given: frozenset[str] = frozenset()  # of `RUNNING_TELLS` those that are set

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings, or `ConfigurationInvalid` with every fault."""
        read = _Reader(environment)
        settings = cls(
            redis_url=read.secret("REDIS_URL", values.redis_url),
            data_dir=read.one("DATA_DIR", values.path, Path(".placet")),
            namespace=read.one("NAMESPACE", values.namespace, "default"),
            config_dir=read.one("CONFIG_DIR", values.path, Path("config")),
            base_url=read.one("BASE_URL", values.base_url, None),
            host=read.one("HOST", values.host, "127.0.0.1"),
            port=read.one("PORT", values.port, 8080),
            is_port_given=PREFIX + "PORT" in environment,
            log_level=read.one("LOG_LEVEL", values.log_level, "info"),
            trusted_proxies=read.one("TRUSTED_PROXIES", values.networks, ()),
            durability=read.one("DURABILITY", values.durability, "local"),
            wait_replicas=read.one("WAIT_REPLICAS", values.whole(1, 16), 1),
            wait_ms=read.one("WAIT_MS", values.whole(1, 2000), 200),
            audit_key=read.secret("AUDIT_KEY"),
            pseudonym_key=read.secret("PSEUDONYM_KEY"),
            vault_key=read.secret("VAULT_KEY"),
            signing_key=read.secret("SIGNING_KEY", signing),
            session_key=read.secret("SESSION_KEY"),
            given=frozenset(name for name in RUNNING_TELLS if PREFIX + name in environment),
        )
        read.raise_faults()
        return settings

    def keys(self) -> SecretKeys:
        """The keys, or `ConfigurationInvalid` naming the missing ones."""
        if self.audit_key and self.pseudonym_key and self.vault_key:
            return SecretKeys(
                audit=self.audit_key, pseudonym=self.pseudonym_key, vault=self.vault_key
            )
        raise ConfigurationInvalid(self._missing(*KEYS_OF_STORE))

    def signing_keys(self) -> SigningKeys:
        """The keys of grant tokens, which the web half needs besides those of `keys`.

        `ConfigurationInvalid` names all that are missing of them.
        """
        missing = self._missing(*KEYS_OF_STORE, "signing_key")
        if missing or self.signing_key is None:
            raise ConfigurationInvalid(missing)
        # Imported here: it loads the whole cryptography, which most commands do without.
        from approvals.signing_keys import SigningKeys  # noqa: PLC0415

        return SigningKeys.parse(self.signing_key.get_secret_value())

    def _missing(self, *fields: str) -> list[Fault]:
        names = [PREFIX + field.upper() for field in fields if getattr(self, field) is None]
        remedies = {PREFIX + "SIGNING_KEY": _SET_PEM}
        return [
            Fault(name, "is not set", remedies.get(name, _SET_TEXT).format(name)) for name in names
        ]


def make_missing_keys(keys_dir: Path, settings: Settings) -> Settings:
    """`settings` with every key; a missing one is made below `keys_dir` once, and read after that.

    Raises `ConfigurationInvalid`.
    """
    faults: list[Fault] = []
    made: dict[str, SecretStr] = {}
    for field, (make, parse) in _MADE.items():
        if getattr(settings, field) is not None:
            continue
        try:
            made[field] = parse(made_secret(keys_dir / field, make))
        except UnfitSecret as error:
            faults.append(Fault(str(keys_dir / field), error.message, error.remedy))
    if faults:
        raise ConfigurationInvalid(faults)
    return settings.model_copy(update=made)


class _Reader:
    """Reads variable by variable and remembers every fault."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults = [_unknown(name) for name in sorted(_strange(environment))]

    def one(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The parsed value; `parse` raises `ValueError` with the remedy."""
        text = self._environment.get(PREFIX + name)
        if text is None:
            return default
        try:
            return parse(values.given(text))
        except ValueError as error:
            self._faults.append(Fault(PREFIX + name, "cannot be used", str(error)))
            return default

    def secret(self, name: str, parse: Callable[[str], SecretStr] = strong) -> SecretStr | None:
        """A secret from its variable or from the file that `<name>_FILE` names."""
        variable, from_file = PREFIX + name, PREFIX + name + "_FILE"
        text, path = (self._environment.get(each) for each in (variable, from_file))
        try:
            if text is not None and path is not None:
                raise UnfitSecret(f"is set, and {from_file} too", "Keep one of the two.")
            if path is not None:
                variable = from_file
                return parse(read_secret(values.path(values.given(path))))
            return None if text is None else parse(text)
        except UnfitSecret as error:
            self._faults.append(Fault(variable, error.message, error.remedy))
        except ValueError as error:
            self._faults.append(Fault(variable, "cannot be used", str(error)))
        return None

    def raise_faults(self) -> None:
        if self._faults:
            raise ConfigurationInvalid(self._faults)


def _strange(environment: Mapping[str, str]) -> Iterator[str]:
    """Names with our prefix, without it, that are neither ours nor set by Kubernetes."""
    ours = {n.removeprefix(PREFIX): v for n, v in environment.items() if n.startswith(PREFIX)}
    # A Service named `placet-redis` brings PLACET_REDIS_PORT=tcp://... and the others like it.
    others = [n for n, v in ours.items() if n.endswith("_PORT") and values.is_service_link(v)]
    stems = ("", *(name.removesuffix("PORT") for name in others))
    for name in ours.keys() - KNOWN - set(others):
        if not any(_SERVICE_LINK.fullmatch(name.removeprefix(stem)) for stem in stems):
            yield name


def _unknown(name: str) -> Fault:
    close = nearest(name, KNOWN)
    remedy = f"Did you mean {PREFIX}{close}?" if close else "Unset it."
    return Fault(PREFIX + name, "is no setting of Placet", remedy)
