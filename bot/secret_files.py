"""Secrets in files: read only where nobody else can read them, made so that nobody ever could."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

MIN_LENGTH = 32
_MIN_DISTINCT = 8
_MOST_BYTES = 64 * 1024
_OBVIOUS = ("changeme", "change-me", "change_me", "password", "secret", "example", "default")


class UnfitSecret(Exception):
    """A secret that may not be used: what is wrong and the remedy, never the secret."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def strong(text: str) -> SecretStr:
    """`text` as a secret. Stops keys that an attacker finds in a list or by trying."""
    if len(text) < MIN_LENGTH:
        raise UnfitSecret(f"is shorter than {MIN_LENGTH} characters", _make_one())
    is_obvious = any(word in text.lower() for word in _OBVIOUS)
    if is_obvious or len(set(text)) < _MIN_DISTINCT:
        raise UnfitSecret("is a default or easily guessed", _make_one())
    return SecretStr(text)


def signing(text: str) -> SecretStr:
    """`text` as the secret keys of grant tokens, PEM blocks."""
    # Imported here: it loads the whole cryptography, which most commands do without.
    from approvals.signing_keys import BadSigningKeys, SigningKeys  # noqa: PLC0415

    try:
        SigningKeys.parse(text)
    except BadSigningKeys as error:
        raise UnfitSecret(error.message, error.remedy) from None
    return SecretStr(text)


def random_text() -> str:
    """A new secret that `strong` takes."""
    return secrets.token_urlsafe(48)


def new_signing() -> str:
    """A new secret that `signing` takes."""
    from approvals.signing_keys import SigningKey  # noqa: PLC0415 - as above

    return SigningKey.new().text()


def read_secret(path: Path) -> str:
    """What a secret's file holds, without white space around it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UnfitSecret(f"cannot be read ({error.strerror})", "Name a readable file.") from None
    try:
        _check_private(descriptor)
        content = os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)
    try:
        return content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UnfitSecret("does not hold text", _make_one()) from None


def _check_private(descriptor: int) -> None:
    # Asked of the open file, so that it cannot be exchanged between the look and the read.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise UnfitSecret("is no file", "Name a file that holds the secret alone.")
    if mode & 0o077:
        raise UnfitSecret("can be read by group or others", "Run chmod 600 on the file.")


def made_secret(path: Path, make: Callable[[], str] = random_text) -> str:
    """The secret in `path`, which `make` makes if it is missing. Its directory is ours alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if not path.exists():
            _put(path, make().strip() + "\n")
    except OSError as error:
        remedy = "Make its directory writable, or set PLACET_DATA_DIR to another one."
        raise UnfitSecret(f"cannot be made ({error.strerror})", remedy) from None
    return read_secret(path)


def _put(path: Path, text: str) -> None:
    """A link appears whole or not at all, and the first of two processes wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        _sync_directory(path.parent)
    finally:
        draft.unlink()


def _sync_directory(directory: Path) -> None:
    """Without it a power cut may lose the name, and every entry's MAC with the key."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_one() -> str:
    return f"Use {MIN_LENGTH} or more random characters, as `openssl rand -base64 48` prints them."
