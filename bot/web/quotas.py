"""The budgets of a caller as response headers: RateLimit-Policy and RateLimit.

As draft-ietf-httpapi-ratelimit-headers has them: structured field lists (RFC 9651) of named
policies, `q` the quota, `w` its window, `r` what remains, `t` the seconds until all is there again.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvals.answer import Json
from approvals.quota import Quota, whole_seconds

# For the document of the API, which has no schema for structured fields.
DESCRIBED: Json = {
    "RateLimit-Policy": {
        "description": "What may be asked: `q` in `w` seconds, by the service, and by it for this "
        "requester",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of each: `r`, and all of it again in `t` seconds",
        "schema": {"type": "string"},
    },
}


def quota_headers(quotas: Sequence[Quota]) -> dict[str, str]:
    """Both headers, or none where nothing is known."""
    if not quotas:
        return {}
    policies = (f'"{each.name}";q={each.most};w={whole_seconds(each.window)}' for each in quotas)
    levels = (f'"{each.name}";r={each.left};t={whole_seconds(each.full_in)}' for each in quotas)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(levels)}
