"""The JSON Schema of each configuration file, for editors: keys, kinds, choices and their meaning.

It promises less than reading the file does: what needs more than one value is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, JsonValue

from approvals.policy.attributes import CLAIMABLE, KINDS
from approvals.policy.document import Policy, Rule
from approvals.policy.expressions import Kind
from approvals.policy.fixtures import Case, Expected, FixturesDocument
from approvals.policy.people import PeopleDocument
from approvals.policy.schema_words import WORDS
from approvals.policy.services import ServicesDocument

Json = dict[str, JsonValue]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "policy": Policy,
    "people": PeopleDocument,
    "services": ServicesDocument,
    "fixtures": FixturesDocument,
}
_NAMED = {model.__name__: words for model, words in WORDS.items()}
_TYPES: Mapping[Kind, Json] = {
    "truth": {"type": ["boolean", "null"]},
    "number": {"type": ["integer", "null"], "minimum": 0},
    "text": {"type": ["string", "null"]},
    "texts": {"type": ["array", "null"], "items": {"type": "string"}},
    "time": {"type": ["string", "null"], "format": "date-time"},
}
_NULL: Json = {"type": "null"}


def schema_of(name: str) -> Json:
    """The schema of `<name>.yaml`, one of `DOCUMENTS`."""
    model = DOCUMENTS[name]
    made: Json = model.model_json_schema()
    models = {model.__name__: made, **_members(made.pop("$defs", {}))}
    models.pop("JsonValue", None)
    defined = {key: _of_model(key, _members(one)) for key, one in models.items()}
    whole = defined.pop(model.__name__)
    title = f"{name}.yaml of Placet"
    return {"$schema": DIALECT, "title": title, **whole, "$defs": {**defined}}


def _of_model(name: str, made: Json) -> Json:
    """A model's own schema: keys with their meaning, and nothing of our classes."""
    words = _NAMED[name]
    keys: Json = {
        key: {"description": words[key], **_plain(_members(value))}
        for key, value in _members(made["properties"]).items()
    }
    _adjust(name, keys)
    told: Json = {"type": "object", "additionalProperties": False, "properties": keys}
    told |= {"required": made["required"]} if "required" in made else {}
    return told | ({"minProperties": 1} if name == Expected.__name__ else {})


def _adjust(name: str, keys: Json) -> None:
    """What pydantic cannot know of a key."""
    if name == Policy.__name__:
        keys["version"] = {**_members(keys["version"]), "const": 1}
    elif name == Rule.__name__:
        keys["when"] = {**_members(keys["when"]), "minLength": 1}
    elif name in (FixturesDocument.__name__, Case.__name__):
        key = "given" if name == Case.__name__ else "base"
        keys[key] = {**_members(keys[key]), **_attributes()}


def _attributes() -> Json:
    known: Json = {"action": {"type": ["string", "null"], "description": "The action asked for"}}
    for name, kind in KINDS.items():
        if name != "tz":  # it is policy's own
            said = "claimed by the service" if name in CLAIMABLE else "known to Placet"
            known[name] = {**_TYPES[kind], "description": f"An attribute {said}"}
    return {"type": "object", "additionalProperties": False, "properties": known}


def _plain(made: Json) -> Json:
    """A value's schema without what only Python needs: titles, defaults, null for a missing key."""
    told: Json = {}
    for key, value in made.items():
        if key == "anyOf":
            told |= _choice([one for one in _items(value) if one != _NULL])
        elif key == "patternProperties":
            inner = {name: _plain(_members(one)) for name, one in _members(value).items()}
            told |= {key: {**inner}, "additionalProperties": False}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            told[key] = _plain(value)
        elif key not in ("title", "default", "description"):
            told[key] = value
    return told


def _choice(ways: list[JsonValue]) -> Json:
    plain = [_plain(_members(one)) for one in ways]
    return plain[0] if len(plain) == 1 else {"anyOf": [*plain]}


def _members(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
