"""Who sits at the page: a signed cookie, a token against forged posts, loopback alone.

The demo's people are made up, so anybody on this machine may be any of them; what is kept apart
here is other machines, other pages of the same browser, and a tab that shows somebody else.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from approvals.errors import NotAllowed, UnknownPerson
from approvals.model import Person, PersonId
from approvals.policy.people import People
from approvals.signing import keyed_hash

PERSON_HEADER = "x-placet-person"
TOKEN_HEADER = "x-placet-csrf"  # noqa: S105 - a name
_COOKIE = "placet_console_{port}"
_AGE_S = 30 * 24 * 3600
_STALE = "This tab is not the one who sits here now. Reload the page."
_WHO = "Say who you are: send X-Placet-Person with the id of somebody in people.yaml."
_LOOPBACK = "The console answers this machine alone: use http://127.0.0.1 or http://localhost."


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at a page. `token` belongs to this very session."""

    person: Person
    cookie: str
    token: str


class Sessions:
    """Makes and reads sessions. Nothing is stored: the key alone makes them, and ends them."""

    def __init__(self, key: bytes, people: Callable[[], People]) -> None:
        self._key = key
        self._people = people

    def begin(self, person: Person) -> Session:
        """A new session of `person`."""
        return self._session(person, secrets.token_hex(16))

    def current(self, request: Request) -> Session | None:
        """The session that the cookie proves; None without one, or when its person is gone."""
        cookie = request.cookies.get(_cookie_name(request), "")
        person, _, nonce = cookie.rpartition("!")[0].rpartition("!")
        known = self._people().person(PersonId(person))
        if known is None or not cookie.isascii():
            return None
        session = self._session(known, nonce)
        return session if hmac.compare_digest(session.cookie, cookie) else None

    def reader(self, request: Request) -> Person:
        """Who reads: by header for scripts, else by cookie. Raises `UnknownPerson`."""
        if PERSON_HEADER in request.headers:
            return self._named(request)
        session = self.current(request)
        if session is None:
            raise UnknownPerson(_WHO)
        return session.person

    def writer(self, request: Request) -> Person:
        """Who changes state. A cookie alone proves nothing: a foreign page would send it too.

        Browsers send the person's header across origins only after a preflight, which nobody here
        answers. Raises `UnknownPerson`, `NotAllowed`.
        """
        person = self.reader(request)
        if PERSON_HEADER not in request.headers:
            self._check_token(request)
        return person

    def set_cookie(self, request: Request, session: Session) -> str:
        """The `Set-Cookie` header; cookies know no ports, so the name holds it.

        It comes with a link from elsewhere too: without it, whoever followed one would become the
        first approver. It proves nothing for a post, and no other page may read what it gets.
        """
        return (
            f"{_cookie_name(request)}={session.cookie}; Path=/console; HttpOnly; SameSite=Lax; "
            f"Max-Age={_AGE_S}"
        )

    def _check_token(self, request: Request) -> None:
        session = self.current(request)
        given = request.headers.get(TOKEN_HEADER, "").encode()
        # Bound to the person too: a tab that still shows Anna must not act as Ben.
        if session is None or not hmac.compare_digest(session.token.encode(), given):
            raise NotAllowed(_STALE)

    def _named(self, request: Request) -> Person:
        named = request.headers.getlist(PERSON_HEADER)
        known = self._people().person(PersonId(named[0])) if len(named) == 1 else None
        if known is None:
            raise UnknownPerson(_WHO)
        return known

    def _session(self, person: Person, nonce: str) -> Session:
        subject = f"{person.id}!{nonce}"
        cookie = f"{subject}!{keyed_hash(self._key, 'console session', subject)}"
        return Session(person, cookie, keyed_hash(self._key, "console token", subject))


def check_loopback(request: Request) -> None:
    """Raises `NotAllowed` unless host and origin are this machine.

    A name that an attacker lets point to 127.0.0.1 (DNS rebinding) is none of ours.
    """
    origins = request.headers.getlist("origin")
    hosts = [f"//{host}" for host in request.headers.getlist("host")]
    if len(hosts) != 1 or len(origins) > 1 or not all(map(_is_loopback, (*hosts, *origins))):
        raise NotAllowed(_LOOPBACK)
    # Another port of this machine is another program, whose pages must not act here.
    if origins and urlsplit(origins[0]).netloc != urlsplit(hosts[0]).netloc:
        raise NotAllowed(_LOOPBACK)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _cookie_name(request: Request) -> str:
    server = request.scope.get("server") or ("", 0)
    return _COOKIE.format(port=server[1])
