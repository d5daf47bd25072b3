"""E-mail addresses, IP addresses, and dates of birth beside a word that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address

from approvals.privacy.finds import Checks, Hit
from approvals.privacy.normal_form import NormalForm

MOST_IPV6 = 300

# Each token is read once as what stands before an @, and once as what stands after.
_EMAIL = re.compile(
    r"(?<![\w.%+'-])[\w.%+'-]++(?: @ |@\s?)((?:[\w-]++)(?:\.[\w-]++)++)", re.UNICODE
)
_TOP_LEVEL = re.compile(r"\.(?:[^\W\d_]{2}|xn--)[\w-]*$")
# anna [at] example [dot] org. The at is what is looked for; the name before it is looked up.
_DOT = r"(?:\.| ?[\[({<] ?(?:dot|punkt|point|punto|ponto|\.) ?[\])}>] ?| dot )"
_SPELT = re.compile(
    r"[\[({<] ?(?:at|@|arroba|ät|chez) ?[\])}>] ?([\w-]{1,63}+(?:" + _DOT + r"[\w-]{1,63}+){1,6})",
    re.IGNORECASE,
)
_SPELT_OUT = re.compile(r" at ([\w-]{1,63}+(?: dot [\w-]{1,63}+){1,6})", re.IGNORECASE)
_LOCAL_BACKWARDS = re.compile(r" ?[\w.%+'-]{1,64}")
_LAST_LABEL = re.compile(r"[^\W\d_]{2,24}$")

_IPV4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}"
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?![\w]|\.[0-9])"
)
# Four numbers with dots are also a version, or a part of a document.
_NOT_AN_IP = re.compile(
    r"(?:\b(?:v|ver|version|versión|versione|versie|versão|wersja|release|build|rev|firmware|"
    r"section|sections|sect|clause|chapter|article|kapitel|abschnitt|ziffer|artikel|article|"
    r"paragraph|punto|sección|sezione|hoofdstuk|secção|rozdział|avsnitt|step)\.?|§)[ :]{0,2}$",
    re.IGNORECASE,
)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,45}+(?![\w:])")

_BIRTH_WORDS = (
    "born", "birth", "dob", "d.o.b", "gebor", "geburt", "geb.", "naissance", "née", "né ", "ne le",
    "nacid", "nacimiento", "nacim", "nato ", "nata ", "nascit", "geboorte", "nascid", "nasciment",
    "nasc.", "urodz", "ur. ", "född", "födelse", "født", "fødsel", "syntynyt", "syntymä", "narozen",
    "născut", "naștere", "született", "γέννησ", "роден", "rođen", "rojen", "gimim", "sündinud",
)  # fmt: skip
_DATE = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}"
    r"|[0-9]{1,2}[-/.] ?[0-9]{1,2}[-/.] ?(?:[0-9]{4}|[0-9]{2})"
    r"|[0-9]{1,2} [0-9]{1,2} [0-9]{4}"
    r"|[0-9]{1,2}(?:st|nd|rd|th|er|\.|º)?[ -](?:de |of )?[^\W\d_]{3,12}\.?,?[ -](?:de )?[0-9]{4}"
    r"|[^\W\d_]{3,12}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4})(?![0-9])"
)
_BIRTH = re.compile(
    r"(?<![^\W\d_])(?:born|birth(?:day|date)?|dob|d\.o\.b\.?|geboren|geborene[rn]?|geburts\w{0,5}|geb\.|"
    r"naissance|née?|nacid[oa]|nacimiento|nacim\.|nat[oa]|nascita|geboortedatum|geboortedag|"
    r"nascid[oa]|nascimento|nasc\.|urodzon[ya]|urodzenia|ur\.|född|födelse\w{0,6}|født|"
    r"fødsels\w{0,4}|syntynyt|syntymä\w{0,6}|narozen\w{0,3}|născut[ăa]?|nașterii|született|"
    r"γέννησης|роден\w?|rođen\w?|rojen\w?|gimimo|sündinud)"
    r"(?:[ _-](?:date|day|year))?[\"'):=,. ]{1,5}"
    r"(?:(?:date|on|is|the|was|am|le|el|il|op|em|dnia|den|data|av|de|of|d\.) ?"
    r"[\"':=,]{0,2} ?){0,3}(" + _DATE + ")",
    re.IGNORECASE,
)


def emails(form: NormalForm) -> Iterator[Hit]:
    """Addresses with @, also with `[at]` and `(at)` and `dot`."""
    text = form.text
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if ending := _TOP_LEVEL.search(found[1]):
                yield Hit("email", found.start(), found.start(1) + ending.end())
    for spelt in _spellings(form):
        for found in spelt.finditer(text):
            before = text[max(0, found.start() - 66) : found.start()]
            local = _LOCAL_BACKWARDS.match(before[::-1])
            if local and _LAST_LABEL.search(found[1][-25:]):
                yield Hit("email", found.start() - len(local.group()), found.end())


def _spellings(form: NormalForm) -> Iterator[re.Pattern[str]]:
    if any(sign in form.text for sign in "[({<"):
        yield _SPELT
    if " dot " in form.lower:
        yield _SPELT_OUT


def addresses(form: NormalForm, checks: Checks | None = None) -> Iterator[Hit]:
    """IPv4 and IPv6 addresses."""
    text = form.text
    if text.count(".") >= 3:
        for found in _IPV4.finditer(text):
            if not _is_version(text, found.start()):
                yield Hit("ip", *found.span())
    if text.count(":") >= 2:
        yield from _ipv6(text, checks or Checks(MOST_IPV6))


def _is_version(text: str, start: int) -> bool:
    before = text[max(0, start - 14) : start]
    word = before.rstrip(" :.")[-1:]
    return (word.isalpha() or word == "§") and bool(_NOT_AN_IP.search(before))


def _ipv6(text: str, checks: Checks) -> Iterator[Hit]:
    for found in _IPV6.finditer(text):
        written = found.group()
        may_be = ("::" in written or written.count(":") == 7) and any(c.isdigit() for c in written)
        if may_be and checks.passes(_is_ipv6, written):
            yield Hit("ip", *found.span())


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def birth_dates(form: NormalForm) -> Iterator[Hit]:
    """A date directly after a word of birth. The word stays."""
    if any(word in form.lower for word in _BIRTH_WORDS):
        for found in _BIRTH.finditer(form.text):
            yield Hit("birth_date", *found.span(1))
