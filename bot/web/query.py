"""A query string, read strictly: a misspelt filter must not list everything. Knows no parameter."""

from __future__ import annotations

import re

from starlette.requests import Request

from approvals.errors import Finding, InvalidRequest

MOST_PARAMETERS = 20
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


class Query:
    """Reads parameter by parameter and remembers every fault. Sent without a value is not sent."""

    def __init__(self, request: Request, known: frozenset[str]) -> None:
        self._values: dict[str, str | None] = {}
        self._findings: list[Finding] = []
        # Counted before it is read: taking thousands apart is what an attacker wants.
        if request.scope["query_string"].count(b"&") >= MOST_PARAMETERS:
            message = f"the query holds more than {MOST_PARAMETERS} parameters; send fewer"
            raise InvalidRequest([Finding("", message)])
        for name, value in request.query_params.multi_items():
            if name not in known:
                choice = ", ".join(sorted(known))
                self._add("", f"the query holds a parameter that is not known; known: {choice}")
            elif name in self._values:
                self._add(f"/{name}", "is sent twice")
            self._values[name] = value or None

    def number(self, name: str, most: int) -> int | None:
        """A whole number from 1 to `most`."""
        text = self.shaped(name, _NUMBER, f"must be a whole number, 1 to {most}")
        if text is not None and int(text) > most:
            self._add(f"/{name}", f"must be a whole number, 1 to {most}")
        return None if text is None else int(text)

    def one_of(self, name: str, choice: frozenset[str], message: str) -> str | None:
        """One of the words of `choice`."""
        value = self._values.get(name)
        if value is not None and value not in choice:
            self._add(f"/{name}", message)
        return value

    def shaped(self, name: str, shape: re.Pattern[str], message: str) -> str | None:
        """A text that has the `shape`; None when it is missing or has not."""
        value = self._values.get(name)
        if value is None or shape.fullmatch(value):
            return value
        self._add(f"/{name}", message)
        return None

    def raise_findings(self) -> None:
        """Raises `InvalidRequest` if there was any fault."""
        if self._findings:
            raise InvalidRequest(self._findings)

    def _add(self, pointer: str, message: str) -> None:
        self._findings.append(Finding(pointer, message))
