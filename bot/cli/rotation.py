"""`key rotate`: the keys that sign grant tokens, exchanged without a moment of doubt.

A key is published before it signs, and stays published after it has stopped: `key rotate` adds
the next one, `--promote` makes it sign, `--retire` takes the old one away.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from approvals.ask import MAX_GRANT_TTL
from approvals.errors import Refusal
from approvals.events import Event, KeyRotated, Rotation
from approvals.model import PersonId
from approvals.signing_keys import MOST_KEYS, SigningKey, SigningKeys
from bot import setting_values as values
from bot.cli.admins import acting_admin
from bot.cli.checking import configuration_meant
from bot.cli.command import (
    FINE,
    Add,
    add_actor,
    changing_command,
    checked_reason,
    origin,
    tell_done,
)
from bot.cli.recording import record
from bot.deployment import configuration_in, key_in, signing_key_file
from bot.secret_files import signing
from bot.settings import PREFIX, Settings
from bot.terminal import Terminal
from bot.whole_file import replace_whole, sole_writer

_FILE = PREFIX + "SIGNING_KEY_FILE"
_LONGEST_GRANT = timedelta(seconds=MAX_GRANT_TTL)
_NEXT_STEP = {
    "added": "Restart every web process, so that it is published. Verifiers know it five minutes "
    "later; then `placet key rotate --promote` makes it sign.",
    "promoted": "Restart every web process, so that it signs. The old key stays published for the "
    "tokens it has signed. 60 minutes after the last restart, when the longest grant is over, "
    "`placet key rotate --retire` takes it away.",
    "retired": "Restart every web process, so that it is published no longer.",
}


class NoSigningKey(Refusal):
    """There is no file whose keys could be rotated."""

    code = "no_signing_key"


class KeyNotInFile(Refusal):
    """The keys came by a variable, which nobody but its owner can change."""

    code = "key_not_in_file"


class NothingToPromote(Refusal):
    """No key waits for its turn."""

    code = "nothing_to_promote"


class NothingToRetire(Refusal):
    """No key has stopped signing."""

    code = "nothing_to_retire"


class TooEarly(Refusal):
    """Tokens of the old key may still be in use."""

    code = "too_early"


class TooManySigningKeys(Refusal):
    """No further key is needed, or fits."""

    code = "too_many_signing_keys"


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to which key, and the keys after it."""

    what: Rotation
    kid: str
    after: SigningKeys


def add_to(add: Add) -> None:
    """The command of this module."""
    about = "add the next signing key of grant tokens, make it sign, or take the old one away"
    parser = changing_command(add, "rotate", _rotate, about)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--promote", action="store_true", help="make the next key sign")
    which.add_argument("--retire", action="store_true", help="take the oldest key away")
    add_actor(parser, required=False)


def _rotate(arguments: Namespace, terminal: Terminal) -> int:
    settings = Settings.from_environment(terminal.environment)
    directory = configuration_meant(settings, terminal).directory
    configuration = configuration_in(directory)
    why = None if arguments.reason is None else checked_reason(arguments.reason)

    def note(event: Event) -> None:
        record(event, why, directory, settings, terminal)

    only = "Only an admin may rotate signing keys (people.yaml, roles)."
    person = acting_admin(configuration, arguments, note, wanted="rotate key", only=only)
    file = _file(settings, terminal)
    if file is None:
        return _carry_out(_taken((), arguments, note, person), None, arguments, terminal)
    with sole_writer(file):  # two at once would each put their key in the place of the other's
        step = _taken(_keys_in(file), arguments, note, person)
        return _carry_out(step, file, arguments, terminal)


def _file(settings: Settings, terminal: Terminal) -> Path | None:
    """The file of the signing keys; None where there is none yet."""
    if named := terminal.environment.get(_FILE):
        return values.path(values.given(named))
    if settings.signing_key is not None:
        raise KeyNotInFile(
            "PLACET_SIGNING_KEY holds the keys themselves, and a command cannot change it. Put "
            f"them into a file of mode 0600, unset it, and name the file in {_FILE}."
        )
    return None if settings.redis_url is not None else signing_key_file(settings)


def _keys_in(file: Path) -> tuple[SigningKey, ...]:
    secret = key_in(file, signing)
    if secret is None:
        raise NoSigningKey(
            f"There is no signing key in {file}. `placet serve` with the embedded store makes it "
            f"at its start; over a store of your own name its file in {_FILE}."
        )
    return SigningKeys.parse(secret.get_secret_value()).keys


def _taken(
    keys: tuple[SigningKey, ...],
    arguments: Namespace,
    note: Callable[[Event], None],
    person: PersonId | None,
) -> Step:
    """The step that is asked for, on record before it is done."""
    step = _step(keys, arguments, datetime.now(UTC).replace(microsecond=0))
    note(KeyRotated(kid=step.kid, what=step.what, person=person, origin=origin()))
    return step


def _step(keys: tuple[SigningKey, ...], arguments: Namespace, now: datetime) -> Step:
    if arguments.promote:
        return _promotion(keys, now)
    if arguments.retire:
        return _retirement(keys, now)
    return _addition(keys)


def _addition(keys: tuple[SigningKey, ...]) -> Step:
    waiting = _waiting(keys)
    if waiting is not None:
        raise TooManySigningKeys(
            f"The next key is there already, {waiting.kid}. `placet key rotate --promote` makes it "
            "sign."
        )
    if len(keys) >= MOST_KEYS:
        raise TooManySigningKeys(
            f"There are {MOST_KEYS} keys already, and no more are published. "
            "`placet key rotate --retire` takes the oldest away."
        )
    new = SigningKey.new()
    return Step("added", new.kid, SigningKeys((*keys, new)))


def _promotion(keys: tuple[SigningKey, ...], now: datetime) -> Step:
    chosen = _waiting(keys)
    if chosen is None:
        raise NothingToPromote(
            "No key waits to sign. `placet key rotate` adds one; promote it once it is published."
        )
    old = replace(keys[0], signed_until=now)
    rest = [key for key in keys[1:] if key is not chosen]
    return Step("promoted", chosen.kid, SigningKeys((chosen, old, *rest)))


def _retirement(keys: tuple[SigningKey, ...], now: datetime) -> Step:
    ended = [(key.signed_until, key) for key in keys[1:] if key.signed_until]
    if not ended:
        raise NothingToRetire(
            "No key has stopped signing, so there is none to take away. A key stops when "
            "`placet key rotate --promote` makes another one sign."
        )
    until, oldest = min(ended, key=lambda each: each[0])
    free = until + _LONGEST_GRANT
    if now < free:
        raise TooEarly(
            f"The key {oldest.kid} signed until {until:%FT%TZ}, and its tokens may be in use for "
            f"60 minutes after it. Try again after {free:%FT%TZ}."
        )
    rest = tuple(key for key in keys if key is not oldest)
    return Step("retired", oldest.kid, SigningKeys(rest))


def _waiting(keys: tuple[SigningKey, ...]) -> SigningKey | None:
    return SigningKeys(keys).next if keys else None


def _carry_out(step: Step, file: Path | None, arguments: Namespace, terminal: Terminal) -> int:
    problem = _store(file, step.after.text())
    kids = [key.kid for key in step.after.keys]
    told = {step.what: step.kid, "signs": kids[0], "kids": kids, "stored": problem is None}
    done = f"The signing key {step.kid} is {step.what}."
    if problem is None:
        lines = [f"{done} {file} holds {_count(kids)}.", _NEXT_STEP[step.what]]
        tell_done(terminal, done, is_json=arguments.json, data=told, lines=lines)
        return FINE
    if arguments.json:
        terminal.tell({**told, "pem": step.after.text()})
    else:
        terminal.say(*step.after.text().splitlines())
    terminal.complain(problem, _NEXT_STEP[step.what])
    return FINE


def _count(kids: list[str]) -> str:
    return "one key" if len(kids) == 1 else f"{len(kids)} keys"


def _store(file: Path | None, text: str) -> str | None:
    """Puts the keys into their file. Answers why not, and what a person has to do instead."""
    if file is None:
        return (
            "This is the first key, shown this once. Put it into a file of mode 0600, the same "
            f"for all web processes, and name that in {_FILE}."
        )
    instead = f"Put what is printed, and all of it, in the place of what {file} holds."
    if not os.access(file, os.W_OK):
        return f"{file} was left as it is: it is not writable. {instead}"
    try:
        replace_whole(file, text.encode())
    except OSError as error:
        return f"{file} was left as it is: it cannot be written ({error.strerror}). {instead}"
    return None
