"""One Django view behind Placet's gate, with all of Django's settings in this file.

`POST /customers/<number>` waits up to half a minute for an approval. README.md says how to run it.
"""

from __future__ import annotations

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from approvals.client import ClientError, NotApproved, Placet, Refused

CUSTOMERS = {"48213": "Dana Weiss, dana.weiss@example.com", "48214": "Timo Brandt, no address"}
AGENT = "okta:00u1"  # a real view knows from its login who asks
placet = Placet.from_environment()  # one for the process; threads may share it


@placet.requires_approval(
    action="customer.view",
    subject=lambda customer: f"customer:{customer}",
    justification=lambda why: why,
    requester=AGENT,
    timeout=30,
)
def profile(customer: str, why: str) -> dict[str, str]:
    """Runs with a redeemed grant for this customer, and else never."""
    return {"profile": CUSTOMERS[customer], "opened because": why}


def customer_view(request: HttpRequest, customer: str) -> JsonResponse:
    """The profile, or why it stays closed. GET would put the reason into logs."""
    if request.method != "POST":
        return JsonResponse({"closed": "POST the reason as `why`"}, status=405)
    if customer not in CUSTOMERS:
        return JsonResponse({"closed": "no such customer"}, status=404)
    try:
        return JsonResponse(profile(customer, request.POST.get("why", "")))
    except NotApproved as error:
        return JsonResponse({"closed": str(error)}, status=403)
    except Refused as error:
        return JsonResponse({"closed": str(error)}, status=422)
    except ClientError as error:
        return JsonResponse({"closed": str(error)}, status=503)


urlpatterns = [path("customers/<customer>", customer_view)]


class Server(ThreadingMixIn, WSGIServer):
    """A view that waits must not keep the others waiting."""

    daemon_threads = True


if __name__ == "__main__":
    settings.configure(ROOT_URLCONF=sys.modules[__name__], ALLOWED_HOSTS=["127.0.0.1"])
    django.setup()
    port = int(os.environ.get("DESK_PORT", "8090"))
    with make_server("127.0.0.1", port, get_wsgi_application(), Server) as server:
        print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
