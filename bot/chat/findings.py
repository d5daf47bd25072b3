"""What the scan took out of a text, in words: kinds and places, never what stood there."""

from __future__ import annotations

from collections.abc import Iterable

from approvals.model import PiiInText, TextFinding
from approvals.privacy.screening import name_of
from approvals.standing import all_of

_PLACES = {
    "/justification": "the justification",
    "/ticket": "the ticket",
    "/purpose": "the purpose",
    "/requester/name": "the name given by the service",
    "/data_classes": "the data classes",
}
_FIELD = "/params/"  # only fields that policy declares are scanned, so their names are its words


def taken_out(findings: Iterable[TextFinding], mode: PiiInText) -> str:
    """Of a request's own texts, for who reads them; nothing where nothing was found."""
    told = dict.fromkeys(f"{name_of(one.kind)} in {_place(one.pointer)}" for one in findings)
    if not told:
        return ""
    if mode == "warn":
        return f"Warning: this request held personal data. The scan took out {all_of([*told])}."
    return f"Taken out by the scan: {all_of([*told])}."


def taken_out_of_own(findings: Iterable[TextFinding], mode: PiiInText) -> str:
    """Of a person's reason, for that person alone; nothing where nothing was found."""
    found = kinds(one.kind for one in findings)
    if not found:
        return ""
    warning = "Warning: do not write personal data. " if mode == "warn" else ""
    return f"{warning}The scan took {found} out of your reason before it was kept."


def kinds(found: Iterable[str]) -> str:
    """`an e-mail address and a phone number`."""
    return all_of([*dict.fromkeys(map(name_of, found))])


def _place(pointer: str) -> str:
    if pointer.startswith(_FIELD):
        name = pointer.removeprefix(_FIELD).replace("~1", "/").replace("~0", "~")
        return f"the field {name}"
    known = (words for place, words in _PLACES.items() if _is_at(pointer, place))
    return next(known, "its text")


def _is_at(pointer: str, place: str) -> bool:
    return pointer == place or pointer.startswith(f"{place}/")
