"""Foreign text reaches people through one gate: who makes `Shown`, decrypts, reads what is raw.

The type checker holds the rest: what a card says of others it takes as `Shown` alone.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GATE = "approvals/privacy/masking.py"
MAY_DECRYPT = {
    "approvals/encryption.py",
    "approvals/privacy/vault.py",
    "approvals/store/subject_keys.py",
}
MAY_HOLD_KEYS = {
    *MAY_DECRYPT,
    "approvals/store/store.py",
    "approvals/intake.py",
    "approvals/erasure.py",
    "approvals/service.py",
}
PARSES = {"bot/web/requests.py", "bot/web/openapi_schemas.py"}  # the entry, and what describes it
# A pydantic model takes any text where it is not called by its name, and no type checker sees it.
UNCHECKED = {"model_validate", "model_validate_json", "model_construct"}
HOLD_SHOWN = {"Said", "Quote", "FullView", "ViewedField", "Comment"}
SHOWN_PARTS = {"text", "justification", "given_name"}  # fields of them, as a copy's changes name
# Of a request as sent, and of the record: never for people as they stand.
RAW = {"justification", "subject", "params", "ticket", "personal", "subject_mark"}


def sources(folder: str) -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


BOT, APPROVALS = sources("bot"), sources("approvals")


def names(node: ast.AST) -> set[str]:
    """Every name in a piece of code, also within a quoted type."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    found |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return found | {text for text in texts if isinstance(text, str)}


def calls(tree: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imports(tree: ast.Module, module: str) -> bool:
    """Whether `module`, or something of it, is imported, however it is spelled."""
    package, _, name = module.rpartition(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == module for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom):
            if node.module == module:
                return True
            if node.module == package and any(alias.name == name for alias in node.names):
                return True
    return False


def makes_shown(tree: ast.Module) -> bool:
    """Calls `Shown`, casts to it, gives it another name, or lets a model take any text for it."""
    if any(_is_cast_or_call(call) or _is_unchecked(call) for call in calls(tree)):
        return True
    if any(alias.name == "Shown" and alias.asname for alias in imported(tree)):
        return True
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Assign))
    return any(isinstance(value, ast.Name) and value.id == "Shown" for value in values)


def _is_cast_or_call(call: ast.Call) -> bool:
    called = names(call.func)
    if "cast" in called:
        return bool(call.args) and any("Shown" in name for name in names(call.args[0]))
    return "Shown" in called


def _is_unchecked(call: ast.Call) -> bool:
    called = names(call.func)
    changed = (key for part in ast.walk(call) if isinstance(part, ast.Dict) for key in part.keys)
    parts = {key.value for key in changed if isinstance(key, ast.Constant)}
    is_copy = "model_copy" in called and not parts.isdisjoint(SHOWN_PARTS)
    return is_copy or bool(called & UNCHECKED and called & HOLD_SHOWN)


def imported(tree: ast.Module) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from node.names


def knows_keys(tree: ast.Module) -> bool:
    """Imports what encrypts and decrypts."""
    return imports(tree, "approvals.encryption")


def decrypts(tree: ast.Module) -> bool:
    """Opens somebody's words, or a key."""
    return any(
        isinstance(call.func, ast.Attribute) and call.func.attr in {"decrypt", "unwrap"}
        for call in calls(tree)
    )


def reads_what_is_raw(tree: ast.Module) -> bool:
    """Holds a request as sent, or reads a part of the record that is not for people."""
    if any(alias.name == "Ask" for alias in imported(tree)):
        return True
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return any(node.attr in RAW and _name(node.value) in {"asked", "ask"} for node in read)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def offending(check: Callable[[ast.Module], bool], trees: dict[str, ast.Module]) -> set[str]:
    return {name for name, tree in trees.items() if check(tree)}


def test_only_the_gate_makes_text_shown() -> None:
    assert offending(makes_shown, BOT | APPROVALS) == {GATE}


def test_nothing_of_the_bot_knows_a_key_of_words() -> None:
    assert offending(knows_keys, BOT) == set()
    assert offending(decrypts, BOT) == set()


def test_only_the_vault_and_the_service_hold_keys_and_only_the_vault_opens_words() -> None:
    assert offending(knows_keys, APPROVALS) <= MAY_HOLD_KEYS
    assert offending(decrypts, APPROVALS) <= MAY_DECRYPT


def test_the_bot_reads_what_a_service_sent_only_where_it_comes_in() -> None:
    assert offending(reads_what_is_raw, BOT) == PARSES


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (makes_shown, "card = Said(text=Shown(request.note))"),
        (makes_shown, "from typing import cast\ntext = cast(Shown, note)"),
        (makes_shown, "import typing\ntext = typing.cast('Shown', note)"),
        (makes_shown, "text = masking.Shown(note)"),
        (makes_shown, "from approvals.privacy.masking import Shown as Text\nText(note)"),
        (makes_shown, "Text = Shown"),
        (makes_shown, "quote = Quote.model_validate({'label': 'Why', 'text': note})"),
        (makes_shown, "said = Said.model_construct(text=note)"),
        (makes_shown, "quote = quote.model_copy(update={'text': note})"),
        (knows_keys, "from approvals.encryption import SubjectKey"),
        (knows_keys, "from approvals import encryption"),
        (knows_keys, "import approvals.encryption as keys"),
        (decrypts, "text = key.decrypt(request.asked.personal, place)"),
        (decrypts, "key = wrapping.unwrap(held, name)"),
        (reads_what_is_raw, "from approvals.ask import Ask"),
        (reads_what_is_raw, "text = ask.justification"),
        (reads_what_is_raw, "words = request.asked.personal"),
        (reads_what_is_raw, "fact = asked.subject_mark"),
    ],
)
def test_each_of_these_checks_finds_what_it_looks_for(
    check: Callable[[ast.Module], bool], code: str
) -> None:
    assert check(ast.parse(code))


@pytest.mark.parametrize("check", [makes_shown, knows_keys, decrypts, reads_what_is_raw])
def test_none_of_them_finds_it_where_it_is_not(check: Callable[[ast.Module], bool]) -> None:
    code = "quote = Quote(label='Why', text=view.justification)\nsaid: Shown = said(asked.title)"
    assert not check(ast.parse(code))
