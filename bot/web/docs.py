"""The page at /docs: the OpenAPI document as plain HTML, without scripts or foreign parts."""

from __future__ import annotations

import json
from html import escape

from approvals.answer import Json

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow:auto;padding:1rem;border:1px solid #8888;border-radius:4px}"
    ":root{color-scheme:light dark;background:Canvas}"
    "th,td{text-align:left;padding:0 1rem 0 0;vertical-align:top}"
)
_METHODS = ("get", "post", "delete")


def page(document: Json) -> bytes:
    """The page for a document."""
    info = _part(document, "info")
    paths = _part(document, "paths")
    operations = [
        _operation(path, method, _part(_part(paths, path), method))
        for path in paths
        for method in _METHODS
        if method in _part(paths, path)
    ]
    schemas = _part(_part(document, "components"), "schemas")
    shapes = [_shape(name, schemas[name]) for name in schemas]
    title = _text(info, "title")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f"<p>{_text(info, 'description')} The same for machines: "
        f'<a href="openapi.json">openapi.json</a>.</p>'
        f"<h2>Calls</h2>{''.join(operations)}<h2>Shapes</h2>{''.join(shapes)}</main>"
        "</body></html>"
    ).encode()


def _operation(path: str, method: str, operation: Json) -> str:
    responses = _part(operation, "responses")
    told = {status: _text(_part(responses, status), "description") for status in sorted(responses)}
    rows = "".join(f"<tr><td>{status}</td><td>{when}</td></tr>" for status, when in told.items())
    return (
        f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
        f"<p>{_text(operation, 'summary')}</p><p>{_parameters(operation)}</p>"
        f"<table><tr><th>Answer</th><th>When</th></tr>{rows}</table>"
    )


def _parameters(operation: Json) -> str:
    parameters = operation.get("parameters", [])
    named = parameters if isinstance(parameters, list) else []
    words = [
        f"<code>{_text(each, 'name')}</code> ({_text(each, 'in')})"
        for each in named
        if isinstance(each, dict)
    ]
    return "Parameters: " + ", ".join(words) if words else ""


def _shape(name: str, schema: object) -> str:
    # Focusable, so that what is too wide can be scrolled without a mouse.
    text = escape(json.dumps(schema, indent=2))
    return f'<h3>{escape(name)}</h3><pre tabindex="0">{text}</pre>'


def _part(value: Json, name: str) -> Json:
    part = value[name]
    return part if isinstance(part, dict) else {}


def _text(value: Json, name: str) -> str:
    return escape(str(value[name]))
