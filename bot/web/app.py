"""The web half as one application: routes, errors and figures joined. Decides nothing.

Nothing is opened here: who calls `create_app` has opened the store and runs `waiting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from approvals.answer import Json
from approvals.service import ApprovalService
from approvals.tokens import GrantTokens
from bot.settings import Settings
from bot.telemetry import Metrics
from bot.web import docs, problems
from bot.web.auth import Authenticator, Noted
from bot.web.front import Endpoint, Front, Handlers
from bot.web.grants import GrantRoutes
from bot.web.openapi import document
from bot.web.ops import OpsRoutes, Readiness
from bot.web.own_answers import OwnAnswers
from bot.web.requests import RequestRoutes
from bot.web.waiting import Waiting

# Verifiers may keep the key set for so long; a new key is published well before it signs.
_PUBLIC = {"Cache-Control": "public, max-age=300"}


def create_app(
    *,
    service: ApprovalService,
    waiting: Waiting,
    readiness: Readiness,
    metrics: Metrics,
    settings: Settings,
    tokens: GrantTokens,
    noted: Noted | None = None,
    pages: Mapping[str, Handlers] = MappingProxyType({}),
) -> Front:
    """The application. `readiness` answers what is wrong now, and does not wait.

    `noted` is told of every use of an API key, and does not wait either.
    `pages` are further routes, which the document of the API does not list: the console's.
    """
    authenticator = Authenticator(
        lambda: service.configuration, settings.trusted_proxies, noted=noted
    )
    answers = OwnAnswers(tokens, service.denied_because)
    requests = RequestRoutes(service, authenticator, waiting, answers, metrics)
    grants = GrantRoutes(service.grants, authenticator, answers, metrics)
    ops = OpsRoutes(lambda: service.configuration, readiness, metrics, settings.durability)
    api = document(version("placet"))
    routes: dict[str, Handlers] = {
        "/v1/requests": {"POST": requests.open, "GET": requests.list},
        "/v1/requests/{request_id}": {"GET": requests.show, "DELETE": requests.cancel},
        "/v1/grants/{grant_id}": {"DELETE": grants.end},
        "/v1/grants/{grant_id}/redeem": {"POST": grants.redeem},
        "/v1/grants/{grant_id}/receipt": {"POST": grants.receipt},
        "/healthz": {"GET": ops.healthz},
        "/readyz": {"GET": ops.readyz},
        "/metrics": {"GET": ops.metrics},
        "/.well-known/jwks.json": {
            "GET": _fixed(to_json(tokens.keys.jwks()), "application/jwk-set+json", _PUBLIC)
        },
        "/openapi.json": {"GET": _fixed(to_json(api), "application/json")},
        "/docs": {"GET": _fixed(docs.page(api), "text/html", docs.HEADERS)},
    }
    routes |= pages
    metrics.waiting.set_function(lambda: len(waiting))
    return Front(_framework(api, routes, metrics), routes, metrics)


def _framework(api: Json, routes: Mapping[str, Handlers], metrics: Metrics) -> FastAPI:
    app = FastAPI(
        title="Placet",
        # The pages of the framework load scripts from elsewhere; ours need nothing from outside.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would echo the path
        exception_handlers=dict(problems.handlers(metrics)),
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.openapi_schema = api
    for path, handlers in routes.items():
        # Known to the framework as well, so that a 405 names every method in Allow.
        app.router.add_route(path, _refuse, methods=list(handlers))
    return app


async def _refuse(_: Request) -> Response:
    raise LookupError("The front answers all known calls.")


def _fixed(body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return Response(body, 200, headers, media_type)

    return endpoint
