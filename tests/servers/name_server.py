"""A DNS server on loopback and a resolver that asks it, over real UDP datagrams.

Knows A and AAAA questions only. A name may answer differently each time, or not at all.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count
from types import TracebackType

from aiohttp.abc import AbstractResolver, ResolveResult

A, AAAA = 1, 28
NAME_NOT_FOUND = 3
POINTER_TO_QUESTION = 0xC00C

Zone = Mapping[str, Sequence[Sequence[str]]]
_OnDatagram = Callable[[bytes, tuple[str, int]], None]


@dataclass
class NameServer:
    """Answers each name's lists of addresses in turn; a name without any list gets no answer.

    `asked` is the log: one name per question, in order.
    """

    zone: Zone
    asked: list[str] = field(default_factory=list)
    address: tuple[str, int] = ("", 0)
    _turns: dict[tuple[str, int], int] = field(default_factory=dict)
    _transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> NameServer:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiving(self._on_question), local_addr=("127.0.0.1", 0)
        )
        self.address = self._transport.get_extra_info("sockname")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def _on_question(self, datagram: bytes, sender: tuple[str, int]) -> None:
        (number,) = struct.unpack_from("!H", datagram)
        name, end = _read_name(datagram)
        (kind,) = struct.unpack_from("!H", datagram, end)
        self.asked.append(name)
        addresses = self._addresses(name, kind)
        if addresses is None or self._transport is None:
            return
        code = 0 if name in self.zone else NAME_NOT_FOUND
        header = struct.pack("!6H", number, 0x8580 | code, 1, len(addresses), 0, 0)
        records = b"".join(_record(kind, address) for address in addresses)
        self._transport.sendto(header + datagram[12 : end + 4] + records, sender)

    def _addresses(self, name: str, kind: int) -> list[str] | None:
        lists = self.zone.get(name)
        if lists is None:
            return []
        if not lists:
            return None
        turn = self._turns.get((name, kind), 0)
        self._turns[name, kind] = turn + 1
        version = 4 if kind == A else 6
        return [one for one in lists[turn % len(lists)] if ip_address(one).version == version]


class UdpResolver(AbstractResolver):
    """A resolver for aiohttp that asks one name server and waits for ever."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._numbers = count(1)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        kinds = {socket.AF_INET: [A], socket.AF_INET6: [AAAA]}.get(family, [A, AAAA])
        answers = await asyncio.gather(*(self._ask(host, kind) for kind in kinds))
        found = [address for answer in answers for address in answer]
        if not found:
            raise OSError("the name server knows no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing stays open between questions."""

    async def _ask(self, host: str, kind: int) -> list[str]:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()

        def on_answer(datagram: bytes, _: tuple[str, int]) -> None:
            if not answered.done():
                answered.set_result(datagram)

        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiving(on_answer), remote_addr=self._server
        )
        try:
            transport.sendto(_question(next(self._numbers), host, kind))
            return _read_answer(await answered)
        finally:
            transport.close()


class _Receiving(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: _OnDatagram) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._on_datagram(data, addr)


def _question(number: int, host: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label for label in host.encode("ascii").split(b"."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!xHH", kind, 1)


def _record(kind: int, address: str) -> bytes:
    packed = ip_address(address).packed
    # A TTL of zero: whoever caches the answer all the same does so against the owner's word.
    return struct.pack("!HHHIH", POINTER_TO_QUESTION, kind, 1, 0, len(packed)) + packed


def _read_name(datagram: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while (length := datagram[at]) != 0:
        labels.append(datagram[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _read_answer(datagram: bytes) -> list[str]:
    (records,) = struct.unpack_from("!H", datagram, 6)
    _, end = _read_name(datagram)
    at = end + 4
    found = []
    for _ in range(records):
        (length,) = struct.unpack_from("!H", datagram, at + 10)
        found.append(str(ip_address(datagram[at + 12 : at + 12 + length])))
        at += 12 + length
    return found
