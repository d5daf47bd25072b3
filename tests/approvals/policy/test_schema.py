"""The schemas for editors: what the loader takes they take, and a misspelt key they do not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from approvals.policy.document import LATER
from approvals.policy.loader import load_configuration
from approvals.policy.schema import DOCUMENTS, schema_of
from approvals.policy.source import ANY
from approvals.policy.yaml_source import read_source
from tests import configurations
from tests.approvals.policy import example

HERE = Path(__file__).parent
EXAMPLES = [file.parent for file in (HERE.parents[2] / "examples").glob("*/policy.yaml")]
KEPT = {one.name: one for one in (HERE / "reference", *EXAMPLES)}


def faults(name: str, data: object) -> list[str]:
    return [one.message for one in Draft202012Validator(schema_of(name)).iter_errors(data)]


@pytest.fixture(params=["example", "tests", *KEPT])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    match request.param:
        case "example":
            example.write(tmp_path)
        case "tests":
            configurations.write_configuration(tmp_path)
        case kept:
            return KEPT[kept]
    return tmp_path


def test_every_example_is_valid(directory: Path) -> None:
    load_configuration(directory, loopback=True)
    for name in DOCUMENTS:
        if (directory / f"{name}.yaml").exists():
            assert faults(name, read_source(directory / f"{name}.yaml").data) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_is_a_schema_whose_every_key_is_explained(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert [place for place, key in keys(schema, name) if not key.get("description")] == []


def keys(schema: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON of any shape
    for name, key in schema.get("properties", {}).items():
        yield f"{place}.{name}", key
        yield from keys(key, f"{place}.{name}")
    for name, inner in schema.get("$defs", {}).items():
        yield from keys(inner, name)


def reference(name: str) -> Any:  # noqa: ANN401 - as above
    return copy.deepcopy(read_source(KEPT["reference"] / f"{name}.yaml").data)


@pytest.mark.parametrize(
    ("steps", "value", "fault"),
    [
        (("rules", 0, "whenn"), "true", "'whenn' was unexpected"),
        (("default",), {}, "'default' was unexpected"),
        (("rules", 0, "then", "decision"), "perhaps", "is not one of"),
        (("rules", 5, "then", "expires_in"), "15 minutes", "does not match"),
        (("rules", 5, "then", "expires_in"), None, "is not of type 'string'"),
        (("rules", 5, "then", "threshold"), 0, "less than the minimum"),
        (("rules", 5, "id"), "two words", "does not match"),
        (("actions", "customer.read", "fields"), {"a": {"show": "blur"}}, "is not one of"),
        (("lists", "lower"), ["a"], "not match any of the regexes"),
        (("version",), 2, "1 was expected"),
    ],
)
def test_a_mistake_is_seen(steps: tuple[str | int, ...], value: object, fault: str) -> None:
    data = reference("policy")
    place = data
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    (told,) = faults("policy", data)
    assert fault in told


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"expect": {"desicion": "deny"}}, "'desicion' was unexpected"),
        ({"expect": {}}, "should be non-empty"),
        ({"given": {"geo.cuntry": "DE"}}, "'geo.cuntry' was unexpected"),
        ({"given": {"device.managed": "yes"}}, "is not of type 'boolean', 'null'"),
    ],
)
def test_a_mistake_in_a_case_is_seen(changes: dict[str, object], fault: str) -> None:
    data = reference("fixtures")
    data["cases"][0] |= changes
    (told,) = faults("fixtures", data)
    assert fault in told


def test_what_is_not_carried_out_is_not_offered() -> None:
    models: Any = schema_of("policy")["$defs"]
    then, defaults = models["Then"]["properties"], models["Defaults"]["properties"]
    offered = {("rules", ANY, "then", key) for key in then} | {
        ("defaults", key) for key in defaults
    }
    assert offered.isdisjoint({pattern for pattern, _ in LATER})
