"""The web half as one application: routes, errors and figures joined. Decides nothing.

Nothing is opened here: who calls `create_app` has opened the store and runs `waiting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from approvals.answer import Json
from approvals.service import ApprovalService
from bot.settings import Settings
from bot.telemetry import Metrics
from bot.web import docs, problems
from bot.web.auth import Authenticator
from bot.web.counting import CountAnswers
from bot.web.openapi import document
from bot.web.ops import OpsRoutes, Readiness
from bot.web.requests import RequestRoutes
from bot.web.waiting import Waiting

Endpoint = Callable[[Request], Awaitable[Response]]
Handlers = Mapping[str, Endpoint]  # by method


def create_app(
    *,
    service: ApprovalService,
    waiting: Waiting,
    readiness: Readiness,
    metrics: Metrics,
    settings: Settings,
) -> FastAPI:
    """The application. `readiness` answers what is wrong now, and does not wait."""
    authenticator = Authenticator(lambda: service.configuration, settings.trusted_proxies)
    requests = RequestRoutes(service, authenticator, waiting, metrics)
    ops = OpsRoutes(lambda: service.configuration, readiness, metrics, settings.durability)
    api = document(version("placet"))
    routes: dict[str, Handlers] = {
        # The hot path first: routes are tried in order.
        "/v1/requests": {"POST": requests.open, "GET": requests.list},
        "/v1/requests/{request_id}": {"GET": requests.show, "DELETE": requests.cancel},
        "/healthz": {"GET": ops.healthz},
        "/readyz": {"GET": ops.readyz},
        "/metrics": {"GET": ops.metrics},
        "/openapi.json": {"GET": _fixed(to_json(api), "application/json")},
        "/docs": {"GET": _fixed(docs.page(api), "text/html", docs.HEADERS)},
    }
    metrics.waiting.set_function(lambda: len(waiting))
    return _application(api, routes, metrics)


def _application(api: Json, routes: Mapping[str, Handlers], metrics: Metrics) -> FastAPI:
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
    labels: dict[object, str] = {}
    for path, handlers in routes.items():
        endpoint = _by_method(handlers)
        labels[endpoint] = path
        app.router.add_route(path, endpoint, methods=list(handlers))
    app.add_middleware(CountAnswers, metrics=metrics, routes=labels)
    return app


def _by_method(handlers: Handlers) -> Endpoint:
    # One route for all methods of a path, so that a 405 names every method in Allow.
    async def endpoint(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _fixed(body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return Response(body, 200, headers, media_type)

    return endpoint
