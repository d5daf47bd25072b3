"""Log lines and figures: what they tell, and what they must never tell."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from approvals.errors import StoreUnavailable
from approvals.model import ServiceId
from bot.telemetry import STRUCK, JsonLines, Metrics, configure_logging

SECRET = "0123456789-abcdefghijklmnopqrstuvwxyz"


def line(message: str, *args: object, name: str = "bot.web", **fields: object) -> dict[str, Any]:
    record = logging.makeLogRecord(
        {"name": name, "levelname": "INFO", "msg": message, "args": args, **fields}
    )
    text = JsonLines([SECRET, SECRET[:12], ""]).format(record)
    assert "\n" not in text
    told: dict[str, Any] = json.loads(text)
    return told


def raised(error: Exception) -> dict[str, Any]:
    try:
        raise error
    except type(error):
        told: dict[str, Any] = line("failed", exc_info=sys.exc_info())["exception"]
        return told


def test_a_line_tells_when_what_and_where() -> None:
    told = line("listening on %s", "127.0.0.1", port=8080, queue="callbacks")
    assert told["time"].endswith("+00:00")
    assert (told["level"], told["logger"]) == ("info", "bot.web")
    assert (told["message"], told["port"], told["queue"]) == (
        "listening on 127.0.0.1",
        8080,
        "callbacks",
    )


def test_a_newline_cannot_forge_a_second_line() -> None:
    assert line("hello\n{}", detail="a\u2028b\ud800")["message"] == "hello\n{}"


@pytest.mark.parametrize(
    "name",
    ["authorization", "api_key", "subject", "params", "requester_id", "Body", "callback_url"],
)
def test_a_field_is_struck_by_its_name(name: str) -> None:
    assert line("x", **{name: "dana@example.com"})[name] == STRUCK
    assert line("x", about={"deep": [{name: "dana"}]})["about"] == {"deep": [{name: STRUCK}]}


def test_what_has_the_shape_of_a_secret_is_struck() -> None:
    told = line("key plc_crm-1_abc and whsec_QUJD+/= and redis://user:pw@host/0", place="whsec_x")
    assert told["message"] == f"key {STRUCK} and {STRUCK} and redis://{STRUCK}@host/0"
    assert told["place"] == STRUCK


def test_a_known_secret_is_struck_wherever_it_stands() -> None:
    told = line(f"got {SECRET}!", note=f"<{SECRET}>", more=[SECRET])
    assert told["message"] == f"got {STRUCK}!"
    assert (told["note"], told["more"]) == (f"<{STRUCK}>", [STRUCK])


def test_our_errors_tell_code_and_detail() -> None:
    told = raised(StoreUnavailable("The store did not answer."))
    assert (told["type"], told["code"]) == ("StoreUnavailable", "store_unavailable")
    assert told["detail"] == "The store did not answer."


def test_foreign_errors_tell_where_but_not_what() -> None:
    told = raised(ValueError("canary"))
    assert told["type"] == "ValueError"
    assert "test_telemetry.py" in told["frames"][-1]
    assert "canary" not in json.dumps(told)


def test_the_message_of_a_foreign_error_stays_out_of_the_text_too() -> None:
    assert "canary" not in json.dumps(line("failed: %s", ValueError("canary")))
    never = "Task exception was never retrieved\nfuture: <Task exception=ValueError('canary')>"
    assert "canary" not in json.dumps(line(never, name="asyncio"))


def test_what_json_cannot_say_is_told_by_its_type() -> None:
    assert line("x", thing=object())["thing"] == "object"


def test_logging_goes_to_one_stream_as_json() -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        configure_logging("warning", [SECRET], stream)
        logging.getLogger("bot").info("quiet")
        logging.getLogger("bot").warning("loud %s", SECRET)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert json.loads(stream.getvalue())["message"] == f"loud {STRUCK}"


@pytest.mark.parametrize(("level", "is_told"), [("info", False), ("debug", True)])
def test_the_metronomes_every_tick_is_for_debugging_alone(level: str, is_told: bool) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, before = list(root.handlers), root.level
    metronome = logging.getLogger("apscheduler")
    try:
        configure_logging(level, [], stream)
        logging.getLogger("apscheduler.executors.default").info("Running job")
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        metronome.setLevel(logging.NOTSET)
    assert ("Running job" in stream.getvalue()) is is_told


def test_every_process_counts_for_itself() -> None:
    first, second = Metrics(), Metrics()
    first.request_asked(ServiceId("crm"), "pending")
    first.callback_attempted("delivered")
    first.expired(0.003)
    first.store_failed("store_full")
    first.http_answered("/healthz", "GET", 200, 0.001)
    told = first.text().decode()
    assert 'placet_requests_total{outcome="pending",service="crm"} 1.0' in told
    assert 'placet_callback_attempts_total{outcome="delivered"} 1.0' in told
    assert 'placet_expiry_lateness_seconds_bucket{le="0.005"} 1.0' in told
    assert 'placet_store_failures_total{code="store_full"} 1.0' in told
    assert 'placet_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in told
    assert "crm" not in second.text().decode()
