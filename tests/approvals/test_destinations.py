"""Where a service may be called back: URLs judged as text, addresses as numbers."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from approvals.destinations import Destinations, check_url, is_allowed
from approvals.errors import CallbackNotAllowed

EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))

REGISTRY = Destinations(
    (
        *("https://crm.example", "https://hooks.example:8443/placet", "https://10.1.2.3"),
        *("https://[fd12::3]:8443", "http://127.0.0.1:7"),
    ),
    (ip_network("10.1.0.0/16"), ip_network("fd12::/16")),
)

PASSING = """
    https://crm.example https://CRM.example:443/any/path?with=query&a=%2e%2e
    https://hooks.example:8443/placet https://hooks.example:8443/placet/
    https://hooks.example:8443/placet/in/depth?x=../y
    https://hooks.example:8443/placet/a..b/.well-known/x%20y https://10.1.2.3/x
    https://[fd12::3]:8443/x
"""


@pytest.mark.parametrize("url", PASSING.split())
def test_a_url_under_an_origin_passes(url: str) -> None:
    assert check_url(url, REGISTRY).scheme == "https"


REFUSED = {
    "none of the service's callback origins": r"""
        https://other.example/ https://crm.example.evil.example/ https://a.crm.example/
        https://crm.example:444/ https://hooks.example/placet https://hooks.example:8443/
        https://hooks.example:8443/placet-admin https://hooks.example:8443/Placet
    """,
    "dot segment": r"""
        https://hooks.example:8443/placet/../admin https://hooks.example:8443/placet/..
        https://hooks.example:8443/placet/.?x https://hooks.example:8443/placet/..;/admin
    """,
    "percent-encoded dot": r"""
        https://hooks.example:8443/placet/%2e%2E/admin
        https://hooks.example:8443/placet/..%2fadmin
        https://hooks.example:8443/placet/%252e%252e/admin
        https://hooks.example:8443/placet/..%5cadmin
    """,
    "not of the form": r"""
        https://hooks.example:8443/placet\..\admin https://crm.example./ https://crm.example:/
        https:///x //crm.example/ crm.example file:///etc/passwd unix:///run/receiver.sock
        gopher://crm.example/ https://crm.example:0443/ https://crm.example:00443
        https://crm.example:0/
    """,
    "not https": "http://127.0.0.1:7/ http://crm.example/",
    "fragment": "https://crm.example/#part https://crm.example/#",
    "user part": r"""
        https://crm.example@evil.example/ https://user:secret@crm.example/ https://@crm.example/
        https://crm.example\@evil.example/
    """,
    "non-ASCII": "https://crm。example/ https://127。0。0。1/ https://①②⑦.0.0.1/",
    "zone id": "https://[fe80::1%25eth0]/ https://[fe80::1%eth0]/",
    "percent-encoding": "https://%31%30.1.2.3/",
    "unusual form": r"""
        https://167838211/ https://0x0a010203/ https://0x0A.1.2.0x3/ https://012.1.2.3/
        https://10.1.515/ https://10.66051/ https://0/ https://[::ffff:10.1.2.3]/
        https://[::ffff:a01:203]/ https://[fd12:0:0::3]:8443/ https://[::::]/
    """,
    "refused": "https://crm.example:99999/",
}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *((url, reason) for reason, urls in REFUSED.items() for url in urls.split()),
        ("https://crm.example/ x", "space"),
        ("https://crm.example/\n", "space"),
        ("", "not of the form"),
        ("https://hooks.example:8443/placet/%zz", "not of the form"),
        ("https://" + "a" * 64 + ".example/", "not of the form"),
        ("https://crm.example/" + "a" * 2048, "longer than 2048"),
    ],
)
def test_a_url_that_is_not_plainly_the_services_own_is_refused_with_a_reason(
    url: str, reason: str
) -> None:
    with pytest.raises(CallbackNotAllowed) as caught:
        check_url(url, REGISTRY)
    assert reason in caught.value.detail
    assert "secret" not in caught.value.detail


FORBIDDEN_ORIGINS = """
    https://169.254.169.254 https://127.0.0.1 https://10.2.0.1 https://[fd00:ec2::254]
    https://[64:ff9b::a9fe:a9fe] https://[2002:7f00:1::] https://100.100.100.200
"""


@pytest.mark.parametrize("origin", FORBIDDEN_ORIGINS.split())
def test_a_listed_literal_outside_the_networks_or_on_the_never_list_is_refused(origin: str) -> None:
    with pytest.raises(CallbackNotAllowed, match="never called"):
        check_url(origin, Destinations((origin,), (ip_network("10.1.0.0/16"),)))


@pytest.mark.parametrize(
    "origin", ["ftp://crm.example", "https://crm.example?x", "https://a@b.example", "crm.example"]
)
def test_an_origin_that_is_no_origin_is_refused_when_the_registry_is_read(origin: str) -> None:
    with pytest.raises(ValueError, match=r"it |an origin"):
        Destinations((origin,))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_is_for_loopback_in_the_demo_alone(host: str) -> None:
    origin = f"http://{host}:9000"
    assert check_url(origin, Destinations((origin,), loopback=True)).port == 9000
    with pytest.raises(CallbackNotAllowed, match="not https"):
        check_url(origin, Destinations((origin,)))


def test_the_demo_calls_other_hosts_by_https_only() -> None:
    origin = "http://crm.example"
    with pytest.raises(CallbackNotAllowed, match="not https"):
        check_url(origin, Destinations((origin,), loopback=True))


# The address.


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, Destinations(()))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "100.64.0.1"])
def test_a_private_address_is_allowed_inside_the_services_networks_only(address: str) -> None:
    networks = tuple(map(ip_network, ("10.1.0.0/16", "fd12::/16", "100.64.0.0/10")))
    assert is_allowed(address, Destinations((), networks))
    assert not is_allowed(address, Destinations((), (ip_network("10.2.0.0/16"),)))
    assert not is_allowed(address, Destinations(()))


NEVER = """
    0.0.0.0 0.1.2.3 127.0.0.1 127.0.0.9 169.254.169.254 169.254.0.1 100.100.100.200
    168.63.129.16 192.0.0.192 192.88.99.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1
    ::7f00:1 ::a9fe:a9fe ::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:169.254.169.254
    ::ffff:100.100.100.200 ::ffff:0:7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::101:101
    64:ff9b:1::a9fe:a9fe 2001::1 2001:0:a9fe:a9fe:: 2002:7f00:1:: 2002:a9fe:a9fe::1
    fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%lo fd12::1%eth0 2606:4700::1111%1 fec0::1 ff02::1
    4000::1 127.1 2130706433 localhost
"""


@pytest.mark.parametrize("address", [*NEVER.split(), "", "1.1.1.1 ", "1.1.1.1/32"])
def test_the_never_list_holds_whatever_the_registry_says(address: str) -> None:
    assert not is_allowed(address, Destinations((), EVERYWHERE))


@pytest.mark.parametrize("address", ["127.0.0.2", "127.0.0.9", "127.255.255.254", "0.0.0.0", "::"])
def test_the_demo_admits_two_loopback_addresses_and_no_others(address: str) -> None:
    demo = Destinations((), EVERYWHERE, loopback=True)
    assert is_allowed("127.0.0.1", demo)
    assert is_allowed("::1", demo)
    assert not is_allowed(address, demo)
