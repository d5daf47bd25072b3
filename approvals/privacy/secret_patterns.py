"""Secrets: keys and tokens by the prefix their makers gave them, and passwords beside their name.

A false find costs somebody a refused request, so a value must look like none that people write in a
sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from approvals.privacy.scanner import Hit, Kind

_MOST = 1000  # one is enough to refuse a text

# Kind, what a text must hold in small letters to be looked at, and the pattern.
_PREFIXED: tuple[tuple[Kind, tuple[str, ...], str], ...] = (
    ("private_key", ("-----begin",), r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    ("private_key", ("putty-user-key",), r"PuTTY-User-Key-File-\d"),
    ("cloud_key", ("akia", "asia"), r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("cloud_key", ("aiza",), r"AIza[\w-]{35}"),
    (
        "cloud_key",
        ("accountkey=", "sharedaccesskey="),
        r"(?i:(?:Account|SharedAccess)Key=)[\w+/]{40,}={0,2}",
    ),
    ("cloud_key", ("ya29.",), r"ya29\.[\w-]{20,}"),
    (
        "cloud_key",
        ("secret_access_key", "secretaccesskey"),
        r"(?i:secret_?access_?key)\W{1,5}[\w+/]{40}",
    ),
    ("token", ("xox", "xapp-"), r"(?<!\w)(?:xox[abeoprs]-|xapp-)[\w-]{10,}"),
    ("token", ("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}"),
    (
        "token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    ),
    ("token", ("glpat-", "gldt-", "glrt-"), r"(?<!\w)gl(?:pat|dt|rt)-[\w-]{20,}"),
    (
        "token",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        r"(?<!\w)(?:[sr]k_(?:live|test)_\w{10,}|whsec_[\w+/=-]{16,})",
    ),
    ("token", ("sk-",), r"(?<![\w-])sk-[\w-]{20,}(?=.|$)(?<=[A-Za-z0-9])"),
    ("token", ("sg.",), r"(?<!\w)SG\.[\w-]{16,}\.[\w-]{16,}"),
    (
        "token",
        ("npm_", "pypi-", "dop_v1_", "hvs.", "shpat_"),
        r"(?<!\w)(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|dop_v1_\w{40,}|hvs\.[\w-]{20,}|shpat_\w{20,})",
    ),
    ("token", ("ac", "sk"), r"(?<!\w)(?:AC|SK)[0-9a-f]{32}(?!\w)"),
    ("token", ("plc_",), r"(?<!\w)plc_[a-z0-9-]{1,40}_\w{20,}"),
    ("token", ("eyj",), r"(?<!\w)eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    ("token", ("bearer ", "basic "), r"(?i:bearer|basic) (?=[\w.~+/=-]*\d)[\w.~+/-]{16,}={0,2}"),
    ("password", ("://",), r"(?<=://)[^\s/:@]{1,64}:[^\s/@]{1,64}@"),
)
_COMPILED = tuple((kind, hints, re.compile(pattern)) for kind, hints, pattern in _PREFIXED)

_NAMES = (
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "api key",
    "access_key",
    "access-key",
    "access key",
    "private_key",
    "kennwort",
    "contraseña",
    "mot de passe",
    "wachtwoord",
    "senha",
    "hasło",
    "lösenord",
)
_NAMED = re.compile(
    rf"(?i:{'|'.join(map(re.escape, _NAMES))})[\"'»)\]]{{0,2}}\s{{0,2}}"
    r"(?:[:=]{1,2}|=>|:=|\b(?:is|was|ist|lautet|est|es|is:)\b:?)\s{0,2}[\"'`«]?([^\s\"'`«»]{6,200})"
)
_SYMBOLS = re.compile(r"[!$%^&*+=~#@?<>|\\]")
_LINK = re.compile(r"(?:https?|ftp)://", re.IGNORECASE)
_TICKET = re.compile(r"[A-Za-z]{2,10}-\d{1,8}|\d+")


class Secrets:
    """Keys, tokens and passwords."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The secrets in `text`."""
        lower = text.lower()
        for kind, hints, pattern in _COMPILED:
            if any(hint in lower for hint in hints):
                for found in islice(pattern.finditer(text), _MOST):
                    yield Hit(kind, *found.span())
        if any(name in lower for name in _NAMES):
            for found in islice(_NAMED.finditer(text), _MOST):
                value = found[1].rstrip(".,;:!?)]}")
                if _is_like_a_secret(value):
                    yield Hit("password", found.start(1), found.start(1) + len(value))


def _is_like_a_secret(value: str) -> bool:
    """Whether no sentence would go on like that: a digit among letters, or a symbol."""
    if len(value) < 6 or _LINK.match(value) or _TICKET.fullmatch(value):
        return False
    has_digit, has_letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    return (has_digit and has_letter) or _SYMBOLS.search(value) is not None
