"""Asks the mail servers of a stranger's domain whether they would take a bounce for an address.

Whoever sends us mail makes us do this, so it must not become a weapon: callouts are bounded at one time and a minute,
to one domain and to one server; each asks few servers, and none inside our own network. And servers that keep us
waiting must not keep us from asking others.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from smtpgate.dns.resolver import Answer, Resolver, Status
from smtpgate.phases.facts import Address
from smtpgate.phases.verification import Finding, Verification
from smtpgate.relay.connection import Connection
from smtpgate.relay.downstream import DownstreamUnavailable
from smtpgate.relay.greeting import connect
from smtpgate.relay.security import NO_SECURITY
from smtpgate.relay.url import DownstreamUrl
from smtpgate.relay.wire import checked_address
from smtpgate.values import IPAddress, is_in
from smtpgate.verify.downstream import verification

_MOST_HOSTS = 3
_MOST_ADDRESSES = 4
_MINUTE = 60.0
# Callouts at one time to one domain, and to one server.
_MOST_TO_ONE = 4
# A callout that has had so many seconds gives way to another one when all places are taken.
_GIVES_WAY_AFTER = 5.0
# RFC 4291 §2.5.6, §2.5.7: all of the Internet; outside are site-local addresses, IPv4 in disguise, NAT64.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# What may lead to a network of our own though it looks like one of the Internet: 6to4, Teredo.
_TUNNELS = tuple(map(ipaddress.IPv6Network, ("2002::/16", "2001::/32")))


@dataclass(frozen=True, slots=True)
class CalloutLimits:
    """Times in seconds. timeout: for all of a callout. step: for the greeting, and for each reply after it.

    at_once: callouts under way. rate: most a minute to one domain, and to one server. private: servers inside our own
    network are asked too.
    """

    timeout: float = 60.0
    step: float = 15.0
    at_once: int = 20
    rate: int = 10
    private: bool = False


class Callout:
    """A probe by callout. hostname: what we say in EHLO. ours: addresses that are this machine's. port: 25.

    clock: seconds, never set back.
    """

    def __init__(
        self,
        resolver: Resolver,
        hostname: str,
        clock: Callable[[], float],
        *,
        ours: Collection[IPAddress] = (),
        limits: CalloutLimits | None = None,
        port: int = 25,
    ) -> None:
        self._resolver = resolver
        self._hostname = hostname
        self._ours = ours
        self._limits = limits or CalloutLimits()
        self._port = port
        self._clock = clock
        self._under_way: dict[asyncio.Timeout, float] = {}  # when each began, the first one first
        self._to_one: Counter[str] = Counter()  # domain or server
        self._rates = Rates(self._limits.rate, clock)

    async def __call__(self, address: Address) -> Verification:
        """Ask."""
        if self._to_one[address.domain] >= _MOST_TO_ONE:
            return _unknown(f"{_MOST_TO_ONE} callouts to {address.domain} are under way")
        if not self._rates.take(address.domain):
            return _unknown(f"{self._limits.rate} callouts to {address.domain} in this minute")
        if not self._has_room():
            return _unknown(f"{len(self._under_way)} callouts are under way")
        patience = asyncio.timeout(self._limits.timeout)
        self._under_way[patience] = self._clock()
        try:
            with self._one_more(address.domain):
                async with patience:
                    return await self._ask(address)
        except TimeoutError:
            gave_way = patience not in self._under_way
            return _unknown("it gave way to others" if gave_way else f"no answer within {self._limits.timeout:g} s")
        finally:
            self._under_way.pop(patience, None)

    def _has_room(self) -> bool:
        """Whether there is a place for one more; if not, the one that has been under way for longest gives way."""
        if len(self._under_way) < self._limits.at_once:
            return True
        first, began = next(iter(self._under_way.items()), (None, 0.0))
        if first is None or self._clock() - began < _GIVES_WAY_AFTER:
            return False
        del self._under_way[first]
        if not first.expired():
            first.reschedule(0.0)
        return True

    @contextmanager
    def _one_more(self, key: str) -> Iterator[None]:
        """To this domain or server, for as long as it takes."""
        self._to_one[key] += 1
        try:
            yield
        finally:
            self._to_one[key] -= 1
            if not self._to_one[key]:
                del self._to_one[key]

    async def _ask(self, address: Address) -> Verification:
        found = await self._servers(address.domain)
        if isinstance(found, Verification):
            return found
        troubles: dict[str, Any] = {}
        for server in found:
            if self._to_one[str(server)] >= _MOST_TO_ONE:
                troubles[str(server)] = f"{_MOST_TO_ONE} callouts to it are under way"
                continue
            if not self._rates.take(str(server)):
                troubles[str(server)] = f"{self._limits.rate} callouts to it in this minute"
                continue
            try:
                with self._one_more(str(server)):
                    answer = await self._ask_server(server, address.text)
            except DownstreamUnavailable as trouble:
                troubles[str(server)] = str(trouble)[:200]
                continue
            return Verification(answer.finding, answer.reason, {"server": str(server), **answer.evidence, **troubles})
        return Verification(Finding.UNKNOWN, evidence=troubles)

    async def _ask_server(self, server: IPAddress, address: str) -> Verification:
        """One conversation: EHLO, MAIL, RCPT, QUIT. Raises DownstreamUnavailable."""
        step = self._limits.step
        connection = await connect(
            DownstreamUrl("smtp", host=str(server), port=self._port),
            hostname=self._hostname,
            security=NO_SECURITY,
            connect_timeout=step,
            timeout=step,
            on_closed=_nothing,
        )
        try:
            mail = "MAIL FROM:<>"
            if not address.isascii():
                if "SMTPUTF8" not in connection.extensions:
                    raise DownstreamUnavailable("it does not offer SMTPUTF8")
                mail += " SMTPUTF8"
            reply = await connection.command(f"{mail}\r\n".encode())
            if reply.is_positive:
                reply = await connection.command(f"RCPT TO:<{checked_address(address)}>\r\n".encode())
            return verification(reply)
        finally:
            connection.quit()

    async def _servers(self, domain: str) -> list[IPAddress] | Verification:
        """Whom to ask, the preferred ones first (RFC 5321 §5.1); or why nobody can be."""
        mx = await self._resolver.query(domain, "MX")
        if mx.status is Status.NO_NAME:
            return _undeliverable("Domain not found", mx)
        if mx.failed:
            return Verification(Finding.UNKNOWN, evidence={"dns": [mx.evidence]})
        hosts = [record.host for record in sorted(mx.records)] if mx.records else [domain]
        if not any(hosts):  # RFC 7505 §3
            return _undeliverable("Domain does not accept mail (nullMX)", mx)
        questions = [self._resolver.query(host, kind) for host in hosts[:_MOST_HOSTS] for kind in ("A", "AAAA")]
        answers = await asyncio.gather(*questions)
        found: list[IPAddress] = [address for answer in answers for address in answer.records]
        if not found and not any(answer.failed for answer in answers):
            return _undeliverable("Mail server not found", mx, *answers)
        usable = [address for address in found if self._may_be_asked(address)][:_MOST_ADDRESSES]
        if usable:
            return usable
        return Verification(Finding.UNKNOWN, evidence={"dns": [answer.evidence for answer in (mx, *answers)]})

    def _may_be_asked(self, address: IPAddress) -> bool:
        return self._limits.private or (address not in self._ours and is_public(address))


def is_public(address: IPAddress) -> bool:
    """Whether an address is certainly one of the Internet's, and nobody's tunnel back to us."""
    if not address.is_global or address.is_multicast:
        return False
    return address.version == 4 or (address in _GLOBAL_UNICAST and not is_in(address, _TUNNELS))


class Rates:
    """Counts by the minute. rate: most for each key."""

    def __init__(self, rate: int, clock: Callable[[], float], most_keys: int = 10_000) -> None:
        self._rate = rate
        self._clock = clock
        self._most_keys = most_keys
        self._began = clock()
        self._counts: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Count one, unless there were too many."""
        if self._clock() - self._began >= _MINUTE:
            self._began = self._clock()
            self._counts.clear()
        if self._counts[key] >= self._rate or (key not in self._counts and len(self._counts) >= self._most_keys):
            return False
        self._counts[key] += 1
        return True


def _unknown(why: str) -> Verification:
    return Verification(Finding.UNKNOWN, evidence={"not asked": why})


def _undeliverable(why: str, *answers: Answer) -> Verification:
    return Verification(Finding.UNDELIVERABLE, why, {"dns": [answer.evidence for answer in answers]})


def _nothing(connection: Connection) -> None:
    """The connection is used once: nobody must know that it is closed."""
