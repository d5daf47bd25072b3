"""What the configuration names outside itself: every fault with its place, never with a secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from approvals.errors import ConfigurationInvalid
from approvals.model import ServiceId
from approvals.policy.loader import load_configuration
from bot.receivers import receivers_of
from tests.configurations import CALLBACK_SECRET, write_configuration

ENVIRONMENT = {"CRM_CALLBACK_SECRET": CALLBACK_SECRET}
IN_A_FILE = "{file: secrets/crm}"
WEAK = "whsec_" + base64.b64encode(b"ab" * 16).decode()
PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def with_secret_in_a_file(directory: Path, secret: str | None, mode: int = 0o600) -> None:
    """The configuration, with crm's secret in a file beside it."""
    write_configuration(directory)
    services = directory / "services.yaml"
    services.write_text(services.read_text().replace("{env: CRM_CALLBACK_SECRET}", IN_A_FILE))
    (directory / "secrets").mkdir()
    if secret is not None:
        (directory / "secrets" / "crm").write_text(secret + "\n")
        (directory / "secrets" / "crm").chmod(mode)


def faults(directory: Path, *, is_demo: bool = True) -> list[str]:
    configuration = load_configuration(directory, loopback=is_demo)
    with pytest.raises(ConfigurationInvalid) as refused:
        receivers_of(configuration, ENVIRONMENT, is_demo=is_demo)
    return [str(issue) for issue in refused.value.issues]


def test_a_secret_in_a_file_beside_the_configuration_is_read(tmp_path: Path) -> None:
    with_secret_in_a_file(tmp_path, CALLBACK_SECRET)
    receivers = receivers_of(load_configuration(tmp_path, loopback=True), {}, is_demo=True)
    assert receivers[ServiceId("crm")].secrets == (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef",)


@pytest.mark.parametrize(
    ("secret", "mode", "told"),
    [
        (None, 0, "cannot be read (No such file or directory). Name a readable file."),
        (CALLBACK_SECRET, 0o640, "can be read by group or others. Run chmod 600 on the file."),
        (CALLBACK_SECRET, 0o606, "can be read by group or others. Run chmod 600 on the file."),
        (WEAK, 0o600, "is a published example or easily guessed. Give it as whsec_"),
        (PUBLISHED, 0o600, "is a published example or easily guessed. Give it as whsec_"),
        ("whsec_c2hvcnQ=", 0o600, "does not hold 24 to 64 bytes. Give it as whsec_"),
        ("hush", 0o600, "does not begin with whsec_. Give it as whsec_"),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_with_its_place_and_without_its_text(
    tmp_path: Path, secret: str | None, mode: int, told: str
) -> None:
    with_secret_in_a_file(tmp_path, secret, mode)
    (fault,) = faults(tmp_path)
    assert fault.startswith("services.yaml:13:17: the callback secret in file secrets/crm " + told)
    assert secret is None or secret not in fault


def test_every_fault_is_told_at_once_and_in_order(tmp_path: Path) -> None:
    with_secret_in_a_file(tmp_path, None)
    policy = tmp_path / "policy.yaml"
    channel = "channels: {desk: {slack: C0DESK}}\ndefaults:\n  notify: [desk]\n"
    policy.write_text(policy.read_text().replace("defaults:\n", channel))
    places = [fault.split(" ")[0] for fault in faults(tmp_path, is_demo=False)]
    assert places == [
        "policy.yaml:4:11:",
        "services.yaml:11:16:",
        "services.yaml:12:17:",
        "services.yaml:13:17:",
    ]
