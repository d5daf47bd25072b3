"""Settings from the environment: what is read, what is refused, and what is never shown."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from approvals.errors import ConfigurationInvalid
from approvals.signing_keys import SigningKey, SigningKeys
from bot.secret_files import made_secret
from bot.settings import KNOWN, PREFIX, Settings, make_missing_keys
from tests.signing import SIGNING_KEY

AUDIT = "audit-0123456789-abcdefghijklmnopqrstuvw"
PSEUDONYM = "pseudonym-0123456789-abcdefghijklmnopqr"
VAULT = "vault-0123456789-abcdefghijklmnopqrst"


def read(**variables: str) -> Settings:
    return Settings.from_environment({PREFIX + name: text for name, text in variables.items()})


def faults(environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        Settings.from_environment(environment)
    return [str(issue) for issue in caught.value.issues]


def secret_file(path: Path, text: str = AUDIT, mode: int = 0o600) -> str:
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_environment({"HOME": "/somewhere", "PATH": ""})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.durability) == ("127.0.0.1", 8080, "local")
    assert not settings.is_port_given


def test_everything_can_be_set() -> None:
    settings = read(
        REDIS_URL="rediss://user:opensesame@redis.internal.example:6380/1",
        DATA_DIR="/var/lib/placet",
        NAMESPACE="eu-1",
        CONFIG_DIR="/etc/placet",
        BASE_URL="https://placet.example.com/",
        HOST="0.0.0.0",
        PORT="0",
        LOG_LEVEL="DEBUG",
        TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1,fd00::/8",
        DURABILITY="replica",
        WAIT_REPLICAS="2",
        WAIT_MS="500",
        AUDIT_KEY=AUDIT,
        PSEUDONYM_KEY=PSEUDONYM,
        VAULT_KEY=VAULT,
    )
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value().endswith(":6380/1")
    assert (settings.data_dir, settings.config_dir) == (
        Path("/var/lib/placet"),
        Path("/etc/placet"),
    )
    assert (settings.namespace, settings.base_url) == ("eu-1", "https://placet.example.com")
    assert (settings.host, settings.port, settings.is_port_given) == ("0.0.0.0", 0, True)
    assert settings.trusted_proxies == tuple(
        ip_network(each) for each in ("10.0.0.0/8", "192.0.2.1", "fd00::/8")
    )
    assert (settings.log_level, settings.durability) == ("debug", "replica")
    assert (settings.wait_replicas, settings.wait_ms) == (2, 500)
    assert settings.keys().audit.get_secret_value() == AUDIT
    assert settings.keys().pseudonym.get_secret_value() == PSEUDONYM
    assert settings.keys().vault.get_secret_value() == VAULT


def test_no_secret_is_ever_shown() -> None:
    settings = read(
        REDIS_URL="redis://:opensesame@localhost",
        AUDIT_KEY=AUDIT,
        PSEUDONYM_KEY=PSEUDONYM,
        VAULT_KEY=VAULT,
    )
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.keys())]
    shown.append(json.dumps(settings.model_dump(mode="json")))
    for text in shown:
        assert not any(secret in text for secret in (AUDIT, PSEUDONYM, VAULT, "opensesame"))


WRONG = [
    ("REDIS_URL", "localhost:6379", "redis://"),
    ("REDIS_URL", "redis://localhost:port", "redis://"),
    ("REDIS_URL", "unix://", "unix:///path"),
    ("REDIS_URL", "", "It is empty"),
    ("REDIS_URL", "redis://redis\n.internal:6379", "redis://"),
    ("DATA_DIR", "/var/lib/placet\nCONFIG_DIR=/tmp", "on one line"),
    ("CONFIG_DIR", "/etc/plac\x1b[2Jet", "without control characters"),
    ("CONFIG_DIR", "/etc/plac\x00et", "without control characters"),
    ("DATA_DIR", "/srv/\udce9t\udce9", "in UTF-8"),
    ("AUDIT_KEY_FILE", "/run/secrets/audit\x00", "without control characters"),
    ("NAMESPACE", "Main", "a-z, 0-9 and -"),
    ("BASE_URL", "placet.example.com", "https://"),
    ("BASE_URL", "https://placet.exa\nmple.com", "https://"),
    ("BASE_URL", "https://user@placet.example.com", "without user"),
    ("HOST", "http://localhost", "127.0.0.1"),
    ("PORT", "65536", "0 to 65535"),
    ("PORT", "-1", "0 to 65535"),
    ("PORT", "http", "0 to 65535"),
    ("PORT", "tcp://10.0.0.1:8080", "enableServiceLinks: false"),
    ("PORT", "", "It is empty"),
    ("LOG_LEVEL", "loud", "debug, info, warning or error"),
    ("TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.0/8"),
    ("TRUSTED_PROXIES", "*", "10.0.0.0/8"),
    ("DURABILITY", "always", "local, replica, or none"),
    ("WAIT_REPLICAS", "0", "1 to 16"),
    ("WAIT_MS", "60000", "1 to 2000"),
    ("AUDIT_KEY", "short", "openssl rand"),
    ("AUDIT_KEY", "changeme" * 8, "openssl rand"),
    ("AUDIT_KEY", "a" * 64, "openssl rand"),
    ("AUDIT_KEY", "", "openssl rand"),
    ("AUDIT_KEY_FILE", "", "It is empty"),
    ("SIGNING_KEY", AUDIT, "Keep only blocks"),
    ("SIGNING_KEY", "", "openssl ecparam"),
    ("SIGNING_KEY", SIGNING_KEY + SIGNING_KEY, "block 2 is the same key as block 1"),
]


@pytest.mark.parametrize(("name", "text", "remedy"), WRONG)
def test_a_wrong_value_is_told_with_its_remedy(name: str, text: str, remedy: str) -> None:
    [fault] = faults({PREFIX + name: text})
    assert fault.startswith(f"{PREFIX}{name}: ")
    assert remedy in fault


def test_a_wrong_value_is_not_repeated() -> None:
    for name in ("REDIS_URL", "AUDIT_KEY", "BASE_URL", "PORT"):
        [fault] = faults({PREFIX + name: "canary:opensesame@x"})
        assert "opensesame" not in fault


def test_every_fault_is_told_at_once() -> None:
    told = faults({"PLACET_PORT": "x", "PLACET_HOTS": "x", "PLACET_PSEUDONYM_KEY": "x"})
    assert len(told) == 3
    assert {fault.partition(":")[0] for fault in told} == {
        "PLACET_PORT",
        "PLACET_HOTS",
        "PLACET_PSEUDONYM_KEY",
    }


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("PLACET_REDIS_URI", "Did you mean PLACET_REDIS_URL?"),
        ("PLACET_AUDIT_KEYFILE", "Did you mean PLACET_AUDIT_KEY_FILE?"),
        ("PLACET_ZZZZ", "Unset it."),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name: str, remedy: str) -> None:
    [fault] = faults({name: "1"})
    assert fault == f"{name}: is no setting of Placet. {remedy}"


def test_names_of_later_issues_are_known() -> None:
    assert {"SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN_FILE", "TEAMS_SERVICE_HOSTS", "VAULT_KEY"} <= KNOWN
    read(SLACK_BOT_TOKEN="xoxb-1", CHECKPOINT_KEY_FILE="/nowhere", AUDIT_DIR="/var/audit")


def test_what_callers_need_is_no_fault_where_placet_runs() -> None:
    assert read(URL="https://placet.example.com", API_KEY="plc_crm-1_x") == Settings()
    [fault] = faults({"PLACET_APIKEY": "x"})
    assert "AUDIT_KEY" not in fault


# As `kubectl exec ... env` shows them, beside the Services `placet` and `placet-redis`.
SERVICE_LINKS = {
    "PLACET_SERVICE_HOST": "10.96.0.12",
    "PLACET_SERVICE_PORT": "8080",
    "PLACET_SERVICE_PORT_HTTP_METRICS": "8080",
    "PLACET_PORT_8080_TCP": "tcp://10.96.0.12:8080",
    "PLACET_PORT_8080_TCP_ADDR": "10.96.0.12",
    "PLACET_PORT_8080_TCP_PORT": "8080",
    "PLACET_PORT_8080_TCP_PROTO": "tcp",
    "PLACET_REDIS_SERVICE_HOST": "10.96.0.13",
    "PLACET_REDIS_SERVICE_PORT": "6379",
    "PLACET_REDIS_PORT": "tcp://10.96.0.13:6379",
    "PLACET_REDIS_PORT_6379_TCP": "tcp://10.96.0.13:6379",
    "PLACET_REDIS_PORT_6379_TCP_PROTO": "tcp",
}


def test_what_kubernetes_sets_beside_a_service_called_placet_is_no_fault() -> None:
    settings = Settings.from_environment({**SERVICE_LINKS, "PLACET_PORT": "8443"})
    assert settings == Settings(port=8443, is_port_given=True)


def test_a_port_that_kubernetes_set_is_told_with_what_to_do_about_kubernetes() -> None:
    [fault] = faults({**SERVICE_LINKS, "PLACET_PORT": "tcp://10.96.0.12:8080"})
    assert fault.startswith("PLACET_PORT: ")
    for remedy in ("enableServiceLinks: false", "name the Service otherwise", "set PLACET_PORT"):
        assert remedy in fault


@pytest.mark.parametrize(
    "name", ["SERVICE_HOSTS", "SERVICE", "PORT_8080", "TEAMS_SERVICE_HOST", "REDIS_PORT"]
)
def test_what_only_looks_like_kubernetes_is_a_fault(name: str) -> None:
    [fault] = faults({PREFIX + name: "6379"})
    assert "is no setting of Placet" in fault


def test_the_stores_url_may_stand_in_a_file(tmp_path: Path) -> None:
    url = "redis://:opensesame@redis.internal.example:6379/0"
    path = secret_file(tmp_path / "url", url)
    settings = read(REDIS_URL_FILE=path)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    [fault] = faults({"PLACET_REDIS_URL_FILE": path, "PLACET_REDIS_URL": url})
    assert "PLACET_REDIS_URL_FILE too" in fault
    Path(path).chmod(0o640)
    [fault] = faults({"PLACET_REDIS_URL_FILE": path})
    assert "chmod 600" in fault
    for wrong in ("", "opensesame:6379"):
        [fault] = faults({"PLACET_REDIS_URL_FILE": secret_file(tmp_path / "wrong", wrong)})
        assert fault.startswith("PLACET_REDIS_URL_FILE: cannot be used")
        assert "opensesame" not in fault


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    settings = read(AUDIT_KEY_FILE=secret_file(tmp_path / "audit"))
    assert settings.audit_key is not None
    assert settings.audit_key.get_secret_value() == AUDIT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    [fault] = faults({"PLACET_AUDIT_KEY_FILE": secret_file(tmp_path / "audit", mode=mode)})
    assert fault.startswith("PLACET_AUDIT_KEY_FILE: ")
    assert "chmod 600" in fault


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "audit")
    [fault] = faults({"PLACET_AUDIT_KEY": AUDIT, "PLACET_AUDIT_KEY_FILE": path})
    assert "PLACET_AUDIT_KEY_FILE too" in fault


def test_a_file_that_is_no_secret_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff" * 40)
    binary.chmod(0o600)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path / "missing", tmp_path, pipe, binary):
        [fault] = faults({"PLACET_AUDIT_KEY_FILE": str(path)})
        assert fault.startswith("PLACET_AUDIT_KEY_FILE: ")
    [fault] = faults({"PLACET_AUDIT_KEY_FILE": secret_file(tmp_path / "weak", "short")})
    assert "shorter than 32" in fault


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        read(AUDIT_KEY=AUDIT).keys()
    assert [str(issue).partition(":")[0] for issue in caught.value.issues] == [
        "PLACET_PSEUDONYM_KEY",
        "PLACET_VAULT_KEY",
    ]


@pytest.mark.parametrize(
    "given",
    [{}, {"AUDIT_KEY": AUDIT, "PSEUDONYM_KEY": PSEUDONYM}],
)
def test_who_signs_is_told_all_that_is_missing(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        read(**given).signing_keys()
    told = [str(issue) for issue in caught.value.issues]
    assert [issue.partition(":")[0] for issue in told] == [
        PREFIX + name
        for name in ("AUDIT_KEY", "PSEUDONYM_KEY", "VAULT_KEY", "SIGNING_KEY")
        if name not in given
    ]
    assert "`placet key rotate`" in told[-1]


@pytest.mark.parametrize("more", ["", "\n# the next\n"])
def test_signing_keys_are_read_from_their_variable_or_file(tmp_path: Path, more: str) -> None:
    text = SIGNING_KEY + more + SigningKey.new().text() * bool(more)
    given = {"AUDIT_KEY": AUDIT, "PSEUDONYM_KEY": PSEUDONYM, "VAULT_KEY": VAULT}
    by_variable = read(SIGNING_KEY=text, **given)
    by_file = read(SIGNING_KEY_FILE=secret_file(tmp_path / "signing", text), **given)
    assert by_variable.signing_keys().jwks() == by_file.signing_keys().jwks()
    assert by_file.signing_keys().jwks() == SigningKeys.parse(text).jwks()
    assert "PRIVATE" not in repr(by_file) + by_file.model_dump_json()


def test_the_made_signing_key_is_one(tmp_path: Path) -> None:
    settings = make_missing_keys(tmp_path, Settings())
    assert make_missing_keys(tmp_path, Settings()).signing_key == settings.signing_key
    assert len(settings.signing_keys().keys) == 1


def test_a_made_signing_key_that_was_damaged_is_named_with_its_file(tmp_path: Path) -> None:
    make_missing_keys(tmp_path, Settings())
    file = tmp_path / "signing_key"
    file.write_text(file.read_text() * 2)
    with pytest.raises(ConfigurationInvalid) as caught:
        make_missing_keys(tmp_path, Settings())
    [fault] = map(str, caught.value.issues)
    assert fault.startswith(f"{file}: block 2 is the same key as block 1. ")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_missing_keys_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "keys"
    first = make_missing_keys(directory, Settings())
    assert make_missing_keys(directory, Settings()) == first
    keys = first.keys()
    assert keys.audit != keys.pseudonym
    assert mode(directory) == 0o700
    assert {path.name: mode(path) for path in directory.iterdir()} == {
        "audit_key": 0o600,
        "pseudonym_key": 0o600,
        "session_key": 0o600,
        "signing_key": 0o600,
        "vault_key": 0o600,
    }


def test_a_key_that_is_given_is_not_made(tmp_path: Path) -> None:
    settings = make_missing_keys(tmp_path / "keys", read(AUDIT_KEY=AUDIT))
    assert settings.keys().audit.get_secret_value() == AUDIT
    made = {path.name for path in (tmp_path / "keys").iterdir()}
    assert made == {"pseudonym_key", "session_key", "signing_key", "vault_key"}


def test_a_made_key_that_others_could_read_is_refused(tmp_path: Path) -> None:
    make_missing_keys(tmp_path, Settings())
    (tmp_path / "audit_key").chmod(0o644)
    with pytest.raises(ConfigurationInvalid, match="chmod 600"):
        make_missing_keys(tmp_path, Settings())


def test_keys_that_cannot_be_made_are_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(ConfigurationInvalid) as caught:
        make_missing_keys(tmp_path / "keys", Settings())
    assert len(caught.value.issues) == 5
    assert "PLACET_DATA_DIR" in str(caught.value)


async def test_of_racing_makers_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit_key"
    made = await asyncio.gather(*(asyncio.to_thread(made_secret, path) for _ in range(8)))
    assert len(set(made)) == 1
    assert [each.name for each in path.parent.iterdir()] == ["audit_key"]
