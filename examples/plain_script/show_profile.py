"""A script that prints a customer's profile, behind Placet's gate. README.md says how to run it."""

from __future__ import annotations

import sys

from approvals.client import ClientError, Placet

CUSTOMERS = {"48213": "Dana Weiss, dana.weiss@example.com", "48214": "Timo Brandt, no address"}
AGENT = "okta:00u1"  # a real script knows who runs it


def show_profile(placet: Placet, customer: str, why: str) -> None:
    """Asks, waits up to a minute, and prints the profile if it may."""
    guard = placet.guard(
        "customer.view", f"customer:{customer}", None, why, requester=AGENT, timeout=60
    )
    with guard as access:  # nothing below runs without a redeemed grant
        print(f"{access.request.id} is approved. {customer}: {CUSTOMERS[customer]}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in CUSTOMERS:
        sys.exit(f"Usage: show_profile.py CUSTOMER WHY, the customer one of {[*CUSTOMERS]}")
    with Placet.from_environment() as client:
        try:
            show_profile(client, *sys.argv[1:])
        except ClientError as error:
            sys.exit(f"The profile stays closed. {error}")
