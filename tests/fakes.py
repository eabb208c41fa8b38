"""Fakes that several test directories share: a clock that the test moves, a DNS and a downstream that it scripts."""

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.content import Content
from smtpgate.dns.resolver import Answer, Mx, RecordType, Status
from smtpgate.relay.downstream import NO_PARAMETERS, Envelope, RcptParameters, RelayReply, ServerHealth

Table = Mapping[str, Iterable[str | bytes]]


class Clock:
    """A clock to call in place of time.monotonic or time.time; it stands still until the test moves it."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeDns:
    """A resolver that answers from tables.

    FakeDns(A={"mx.example.org": ["192.0.2.1"]}, MX={"example.org": ["10 mx.example.org"]})
    PTR may be keyed by the address itself. fail: questions without an answer, "name" for every type or "name TXT".
    gate: answers of these names are held until the test sets the event. asked: every question, in order.
    A name in no table is NO_NAME; one with records of another type, or with names below it, is NO_DATA.
    """

    def __init__(
        self,
        *,
        A: Table | None = None,
        AAAA: Table | None = None,
        MX: Table | None = None,
        TXT: Table | None = None,
        PTR: Table | None = None,
        CNAME: Mapping[str, str] | None = None,
        NS: Table | None = None,
        SOA: Table | None = None,
        fail: Collection[str] = (),
        gate: Mapping[str, asyncio.Event] | None = None,
        ttl: int = 300,
    ) -> None:
        tables = {"A": A, "AAAA": AAAA, "MX": MX, "TXT": TXT, "PTR": PTR, "NS": NS, "SOA": SOA}
        self.records = {
            (_name(name), kind): tuple(_record(kind, value) for value in values)
            for kind, table in tables.items()
            for name, values in (table or {}).items()
        }
        for name, target in (CNAME or {}).items():
            self.records[_name(name), "CNAME"] = (_name(target),)
        self.fail = set(fail)
        self.gate = dict(gate or {})
        self.ttl = ttl
        self.asked: list[tuple[str, RecordType]] = []

    async def query(self, name: str, kind: RecordType) -> Answer:
        name = name.lower().removesuffix(".")
        self.asked.append((name, kind))
        if name in self.gate:
            await self.gate[name].wait()
        if self.fail & {name, f"{name} {kind}"}:
            return Answer(name, kind, Status.FAILURE, detail="told to fail")
        owner = name
        for _ in range(10):
            if records := self.records.get((owner, kind)):
                return Answer(name, kind, Status.ANSWER, records, self.ttl)
            if (owner, "CNAME") not in self.records:
                return Answer(name, kind, Status.NO_DATA if self._exists(owner) else Status.NO_NAME, ttl=self.ttl)
            owner = self.records[owner, "CNAME"][0]
        return Answer(name, kind, Status.FAILURE, detail="CNAME chain too long")

    def _exists(self, name: str) -> bool:
        return any(known == name or known.endswith("." + name) for known, _ in self.records)


@dataclass(frozen=True)
class Delivered:
    """A message that FakeDownstream took. parameters: those of each recipient."""

    envelope: Envelope
    recipients: tuple[str, ...]
    content: bytes
    parameters: tuple[RcptParameters, ...] = ()


class FakePolicy:
    """Policy services in memory. action: the answer to every question, or an exception. asked: the attributes of each
    question, and the service.
    """

    def __init__(self, action: str | Exception = "DUNNO") -> None:
        self.action = action
        self.asked: list[dict[str, str]] = []
        self.services: list[str] = []

    async def ask(self, service: Any, attributes: Iterable[tuple[str, str]], instance: str, limits: Any) -> str:
        self.services.append(str(service))
        self.asked.append(dict(attributes))
        if isinstance(self.action, Exception):
            raise self.action
        return self.action


class FakeDownstream:
    """A downstream in memory.

    recipient: the answer to some addresses, a reply or an exception to raise; others get 250 2.1.5.
    deliver: the answers to every message, one or (as with LMTP) several, or an exception to raise; default 250 2.0.0.
    gate: deliver() waits until the test sets it; delivering is set when it is reached.
    per_recipient: it answers as LMTP does, for each accepted recipient.
    extensions: what it offers, None if that is not known.
    messages: what was taken. offered: every recipient that was put, in order. abandoned, closed: how often.
    left_open: how many transactions were answered and neither delivered nor abandoned: each keeps a connection busy.
    """

    def __init__(
        self,
        *,
        recipient: Mapping[str, RelayReply | Exception] | None = None,
        deliver: Sequence[RelayReply | Exception] | Exception | None = None,
        gate: asyncio.Event | None = None,
        extensions: Collection[str] | None = None,
        requiretls: bool = False,
        per_recipient: bool = False,
    ) -> None:
        self.extensions = None if extensions is None else frozenset(extensions)
        self.requiretls = requiretls
        self.per_recipient = per_recipient
        self.recipient = dict(recipient or {})
        self.deliver = [deliver] if isinstance(deliver, Exception) else deliver or [RelayReply(250, "2.0.0", "Ok")]
        self.gate = gate
        self.delivering = asyncio.Event()
        self.messages: list[Delivered] = []
        self.offered: list[str] = []
        self.abandoned = 0
        self.closed = 0
        self.left_open = 0

    async def learn_extensions(self) -> None:
        pass

    def begin(self, envelope: Envelope) -> "FakeDelivery":
        return FakeDelivery(self, envelope)

    def health(self) -> list[ServerHealth]:
        return []

    async def close(self) -> None:
        self.closed += 1


class FakeDelivery:
    """One transaction with FakeDownstream; using it after its end is an error."""

    def __init__(self, downstream: FakeDownstream, envelope: Envelope) -> None:
        self._downstream = downstream
        self._envelope = envelope
        self._accepted: list[str] = []
        self._parameters: list[RcptParameters] = []
        self._over = False
        self._open = False

    @property
    def per_recipient(self) -> bool:
        return self._downstream.per_recipient

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        assert not self._over
        self._downstream.offered.append(address)
        reply = _raised(self._downstream.recipient.get(address, RelayReply(250, "2.1.5", "Ok")))
        self._downstream.left_open += not self._open
        self._open = True
        if reply.is_positive:
            self._accepted.append(address)
            self._parameters.append(parameters)
        return reply

    async def deliver(self, content: Content) -> list[RelayReply]:
        assert not self._over
        assert self._accepted
        self._end()
        self._downstream.delivering.set()
        if self._downstream.gate is not None:
            await self._downstream.gate.wait()
        replies = [_raised(answer) for answer in self._downstream.deliver]
        if any(reply.is_positive for reply in replies):
            message = Delivered(self._envelope, tuple(self._accepted), b"".join(content), tuple(self._parameters))
            self._downstream.messages.append(message)
        return replies

    async def abandon(self) -> None:
        self._end()
        self._downstream.abandoned += 1

    def _end(self) -> None:
        self._downstream.left_open -= self._open
        self._over, self._open = True, False


def _raised(answer: RelayReply | Exception) -> RelayReply:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _name(name: str) -> str:
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name.lower().removesuffix(".")


def _record(kind: str, value: str | bytes) -> Any:
    if kind == "TXT" or isinstance(value, bytes):
        return value.encode() if isinstance(value, str) else value
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value)
    if kind == "MX":
        preference, host = value.split()
        return Mx(int(preference), _name(host))
    return _name(value)
