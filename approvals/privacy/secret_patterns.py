"""Secrets: keys of clouds, tokens, private keys and passwords. They are refused, never masked.

A false find here costs a refused request, so each pattern has a distinctive beginning or a key.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

from approvals.privacy.finds import Hit, Kind
from approvals.privacy.normal_form import BLANK, NormalForm

_W = "[A-Za-z0-9_-]"
# What each begins with, so that a text without any of them is done with at once.
_BEGINNINGS = (
    "AKIA", "ASIA", "AIza", "ya29.", "xox", "xapp-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "sk_live_", "rk_live_", "sk_test_", "rk_test_", "SG.", "npm_",
    "pypi-", "eyJ", "plc_", "whsec_", "sk-", "dop_v1_", "hf_", "shpat_", "hvs.", "AccountKey=",
    "SharedAccessKey", "hooks.slack.com", "sig=", "GOCSPX-", "dckr_pat_",
)  # fmt: skip
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?P<cloud_key>(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    rf"|AIza{_W}{{35}}|ya29\.{_W}{{20,512}}|GOCSPX-{_W}{{20,64}}"  # Google
    r"|(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,100}={0,2}"  # Azure
    r"|sig=[A-Za-z0-9%+/]{40,100}"
    r"|dop_v1_[0-9a-f]{64})"
    rf"|(?P<token>xox[abeoprs]-{_W}{{10,250}}|xapp-[0-9]-{_W}{{10,250}}"  # Slack
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,120}"
    r"|gh[opsur]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    rf"|glpat-{_W}{{20,64}}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{{16,255}}"
    rf"|SG\.{_W}{{16,32}}\.{_W}{{32,64}}"  # SendGrid
    rf"|npm_[A-Za-z0-9]{{36}}|pypi-{_W}{{50,512}}|hf_[A-Za-z0-9]{{30,64}}"
    rf"|dckr_pat_{_W}{{20,64}}|shpat_[0-9a-f]{{32}}|hvs\.{_W}{{24,200}}"
    rf"|sk-(?:[a-z]{{2,12}}[0-9]{{0,2}}-){{0,2}}{_W}{{32,255}}"
    rf"|plc_[A-Za-z0-9]{{1,64}}_{_W}{{16,128}}|whsec_[A-Za-z0-9+/=]{{16,128}}"  # our own
    rf"|eyJ{_W}{{8,4096}}+\.{_W}{{8,8192}}+(?:\.{_W}{{0,2048}})?))"  # JWT
)
_PRIVATE_KEY = re.compile(
    r"-{4,5} ?BEGIN (?:[A-Z0-9]{2,10} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}[A-Za-z0-9+/=\s:,-]*+"
    r"|PuTTY-User-Key-File-[23]|AGE-SECRET-KEY-1[A-Z0-9]{20,64}"
)
_TWILIO = re.compile(r"SK(?<![A-Za-z0-9]SK)[0-9a-f]{32}(?![A-Za-z0-9])")
_HEADER = re.compile(
    r"(?<![A-Za-z0-9])(bearer|basic)\s{1,3}([A-Za-z0-9._~+/-]{12,4096}+={0,2})", re.IGNORECASE
)
_IN_URL = re.compile(r"://[^\s/@:\"'<>\0]{0,128}:([^\s/@\"'<>\0]{1,256})@(?=[\w.\[-])")

_KEYS = (
    "passw", "passp", "passcode", "pwd", "secret", "token", "api_key", "apikey", "api-key",
    "api key", "access_key", "access-key", "accesskey", "access key", "private_key", "kennwort",
    "mot de passe", "contraseña", "wachtwoord", "senha", "hasło", "lösenord", "adgangskode",
    "passord", "salasana", "credential", "clave", "parola",
)  # fmt: skip
_PAIR = re.compile(
    r"(?P<key>pass(?:word|wort|wd|phrase|code|ord)|pwd|kennwort|mot de passe|contraseña|wachtwoord|"
    r"senha|hasło|lösenord|adgangskode|salasana|parola|clave|secret(?:[_ -]?(?:access[_ -]?)?key)?|"
    r"token|(?:api|access|private)[_ -]?key|credentials?)s?"
    r"\\?[\"'`]?\s{0,3}(?:=>|:=|[=:])\s{0,3}\\?[\"'`]?"
    r"(?P<value>[^\s\"'`,;\0]{5,300})",
    re.IGNORECASE,
)
_WORDS_OF_PASSWORDS = re.compile(
    r"pass|pwd|kennwort|mot de|contras|wacht|senha|has|lös|adgang|sala|parola|clave", re.IGNORECASE
)
_TAIL = ".,;:!?)]}>\\"
# Not a secret: where one would stand, or what else people write after the word and a colon.
_HARMLESS = re.compile(
    r"[\[<{$%(*].*|[*xX•.#-]+|[^\W\d_]+(?:[-/._'’][^\W\d_]+)*"
    r"|[0-9]+[-.]?[^\W\d_]{1,10}(?:-[^\W\d_]{1,12})?"  # 90-day, 24hours
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]{4,15}Z?)?|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}"
    r"|[0-9]{1,2}[:.][0-9]{2}(?:[:.][0-9]{2})?|v?[0-9]+(?:\.[0-9]+)+|[A-Z]{1,6}-[0-9]{1,8}"
    r"|https?://.*",
)


def secrets(form: NormalForm) -> Iterator[Hit]:
    """Everything that opens a door for whoever reads it."""
    text = form.text
    if "PRIVATE KEY" in text or "PuTTY-" in text or "AGE-SECRET" in text:
        for found in _PRIVATE_KEY.finditer(text):
            yield Hit("private_key", *found.span())
    if any(beginning in text for beginning in _BEGINNINGS):
        yield from _tokens(text)
    for found in _TWILIO.finditer(text):
        yield Hit("token", *found.span())
    if "://" in text:
        for found in _IN_URL.finditer(text):
            yield Hit("password", *found.span(1))
    yield from _said(form)


def _tokens(text: str) -> Iterator[Hit]:
    for found in _TOKENS.finditer(text):
        kind: Kind = "cloud_key" if found.lastgroup == "cloud_key" else "token"
        yield Hit(kind, *found.span())


def _said(form: NormalForm) -> Iterator[Hit]:
    """Named by the word before them: a header, or key and value."""
    lower = form.lower
    if "bearer" in lower or "basic" in lower:
        for found in _HEADER.finditer(form.text):
            is_secret = _is_random if found[1].lower() == "bearer" else _is_name_and_password
            if is_secret(found[2]):
                yield Hit("token", *found.span(2))
    if ("=" in lower or ":" in lower) and any(key in lower for key in _KEYS):
        for found in _PAIR.finditer(form.text):
            if hit := _pair(found):
                yield hit


def _pair(found: re.Match[str]) -> Hit | None:
    value = found["value"].rstrip(_TAIL)
    is_password = bool(_WORDS_OF_PASSWORDS.match(found["key"]))
    if len(value) < 5 or _HARMLESS.fullmatch(value) or BLANK in value:
        return None
    if value.isdecimal() and not is_password:
        return None
    return Hit("password" if is_password else _named(found["key"]), *found.span("value"))


def _named(key: str) -> Kind:
    return "cloud_key" if "access" in key.lower() else "token"


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed, as few words of a language have them."""
    return len(value) >= 16 and any(map(str.isdecimal, value)) and any(map(str.isalpha, value))


def _is_name_and_password(value: str) -> bool:
    core = value.rstrip("=")
    try:
        return b":" in b64decode(core + "=" * (-len(core) % 4), validate=True)
    except ValueError:
        return False
