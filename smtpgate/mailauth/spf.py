"""Sender Policy Framework (RFC 7208): may this client send mail for this domain?

pyspf reads the records. It asks the DNS as if that were a function call, so it runs in a greenlet, and each of its
questions is awaited on the event loop. Rules kept here and not by pyspf:
- One deadline for the whole evaluation, whatever pyspf does with exceptions.
- The same question is asked once, and counts once.
- `exp=` is never fetched: its text is a stranger's, and nobody sees it.
- What a stranger publishes costs a bounded amount of work.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import spf
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from smtpgate.dns.resolver import Answer, Mx, RecordType, Resolver, Status
from smtpgate.mailauth.quoting import comment_text, dot_atom_or_quoted
from smtpgate.values import IPAddress, is_host_name

log = logging.getLogger(__name__)

Identity = Literal["mailfrom", "helo"]
T = TypeVar("T")

# RFC 7208 §4.6.4: a limit of the elapsed time, which should allow at least 20 seconds.
DEADLINE = 20.0
# RFC 7208 §3.4 asks for records that fit 512 octets, and a term names a domain. pyspf's macro expansion is quadratic in
# the length of a term; within these bounds the worst record takes 10 ms.
_LONGEST_RECORD = 4096
_LONGEST_TERM = 256
_LONGEST_NAME = 253
# How many answers are read in one go: a record takes up to 5 ms.
_AT_ONCE = 2
_MOST_PTR = 10  # RFC 7208 §4.6.4


@dataclass(frozen=True, slots=True)
class SpfResult:
    """What became of one evaluation.

    result: one of RFC 7208 §2.6's words. domain: whose record was asked for. mechanism: what matched, None if nothing
    did. problem: what is wrong, for a temperror or permerror. lookups: the questions asked and their answers.
    """

    result: str
    domain: str
    identity: Identity
    mechanism: str | None = None
    problem: str = ""
    lookups: tuple[Answer, ...] = ()


async def evaluate_spf(
    resolver: Resolver, address: IPAddress, helo: str, sender: str, receiver: str, *, deadline: float = DEADLINE
) -> SpfResult:
    """Evaluate check_host() (RFC 7208 §4).

    sender: "local@domain", the domain in A-labels; "" for the null sender. receiver: our own host name. deadline:
    seconds for the whole evaluation. Never raises, except when cancelled.
    """
    # RFC 7208 §2.4: the null sender is checked as postmaster at the HELO name.
    identity: Identity = "mailfrom" if sender else "helo"
    local, _, domain = (sender or f"postmaster@{helo}").rpartition("@")
    domain = domain.lower()
    if not _is_checkable(domain):
        return SpfResult("none", domain, identity)
    query = _Query(resolver, address, helo, local, domain, receiver)
    mechanism, problem = None, ""
    try:
        async with asyncio.timeout(deadline):
            result, _, text = await _in_greenlet(query.check)
        mechanism = query.mechanism
        problem = str(text).partition(": ")[2] if result in ("permerror", "temperror") else ""
    except TimeoutError:
        result, problem = "temperror", f"no result within {deadline:g} s"
    except Exception:
        log.exception("SPF evaluation of %r failed", domain)
        result, problem = "temperror", "internal error"
    return SpfResult(result, domain, identity, mechanism, problem, tuple(query.answers.values()))


def received_spf(result: SpfResult, address: IPAddress, helo: str, sender: str, receiver: str) -> str:
    """The body of a Received-SPF field (RFC 7208 §9.1), folded, without the final CRLF."""
    comment = comment_text(f"{receiver}: {_summary(result, address)}")
    pairs = [
        ("client-ip", str(address)),
        ("envelope-from", sender),
        ("helo", helo),
        ("receiver", receiver),
        ("identity", result.identity),
        ("mechanism", result.mechanism or "default"),
    ]
    if result.problem:
        pairs.append(("problem", result.problem))
    values = [f"{key}={dot_atom_or_quoted(value)}" for key, value in pairs]
    return f"{result.result} ({comment})\r\n\t" + ";\r\n\t".join(values)


def _summary(result: SpfResult, address: IPAddress) -> str:
    match result.result:
        case "pass":
            return f"domain of {result.domain} designates {address} as permitted sender"
        case "fail" | "softfail":
            return f"domain of {result.domain} does not designate {address} as permitted sender"
        case "neutral" | "none":
            return f"{address} is neither permitted nor denied by domain of {result.domain}"
        case _:
            return f"error in processing the record of {result.domain}"


def _is_checkable(domain: str) -> bool:
    """RFC 7208 §4.3: anything but a well-formed domain name of several labels has the result "none"."""
    name = domain.removesuffix(".")
    return "." in name and is_host_name(name)


async def _in_greenlet(function: Callable[[], T]) -> T:
    """Run a function in a greenlet of its own, and await what it hands out through `_wait_for`.

    When waiting fails or is cancelled, the greenlet is ended here: it has no chance to swallow that.
    """
    child = greenlet(function)
    value: Any = child.switch()
    try:
        while not child.dead:
            value = child.switch(await value)
    finally:
        if not child.dead:
            child.throw()
    result: T = value
    return result


def _wait_for(awaitable: Any) -> Any:
    """Within `_in_greenlet`: the result of an awaitable."""
    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(awaitable)


class _Query(spf.query):  # type: ignore[misc]
    """pyspf's evaluation, whose questions go to our resolver and whose costs are bounded.

    The overridden methods keep pyspf's names and its types: TXT records as bytes, addresses as whatever
    `cidrmatch` takes, host names as str.
    """

    def __init__(
        self, resolver: Resolver, address: IPAddress, helo: str, local: str, domain: str, receiver: str
    ) -> None:
        # An address with a zone (fe80::1%eth0) is no address in the DNS; pyspf reads it from its text.
        plain = ipaddress.IPv6Address(int(address)) if address.version == 6 else address
        super().__init__(str(plain), f"{local}@{domain}", helo, receiver=receiver)
        # pyspf splits at the first "@", which a quoted local part may contain.
        self.l, self.o, self.d = local or "postmaster", domain, domain
        self.mechanism: str | None = None
        self.answers: dict[tuple[str, RecordType], Answer] = {}
        self._resolver = resolver

    def dns(self, name: str, qtype: RecordType, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """The records that answer a question; a temporary failure ends the evaluation (RFC 7208 §4.4)."""
        name = name.lower().removesuffix(".")
        if not name.isascii():
            return []  # RFC 8616 §4: a macro that brings in a non-ASCII local part never matches
        answer = self.answers.get((name, qtype))
        if answer is None:
            answer = self.answers[name, qtype] = _wait_for(self._resolver.query(name, qtype))
            if len(self.answers) > _AT_ONCE:
                _wait_for(asyncio.sleep(0))  # answers that were there already have not let anybody else have a turn
            if not ignore_void and _is_void(answer):
                self.void_lookups += 1
        # RFC 7208 §4.6.4: more than two lookups in vain are an error of the record.
        if self.void_lookups > spf.MAX_VOID_LOOKUPS:
            raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} void lookups")
        if answer.failed:
            raise spf.TempError(f"lookup of {name} {qtype} failed")
        return list(answer.records)

    def dns_txt(self, domainname: str, rr: str = "TXT", ignore_void: bool = False) -> list[bytes]:
        return self.dns(domainname, "TXT", ignore_void=ignore_void) if domainname else []

    def dns_spf(self, domain: str) -> str | None:
        record: str | None = super().dns_spf(domain)
        if record and (len(record) > _LONGEST_RECORD or any(len(term) > _LONGEST_TERM for term in record.split(" "))):
            raise spf.PermError(f"the record of {domain} is too long")
        return record

    def dns_mx(self, domainname: str) -> list[Any]:
        exchangers: list[Mx] = sorted(self.dns(domainname, "MX"))
        # RFC 7208 §4.6.4: more than ten exchangers are an error.
        if len(exchangers) > spf.MAX_MX:
            raise spf.PermError(f"more than {spf.MAX_MX} MX records")
        return [address for exchanger in exchangers for address in self.dns_a(exchanger.host, self.A)]

    def validated_ptrs(self) -> list[str]:
        # RFC 7208 §5.5: a name whose look-up fails is skipped; if the PTR look-up itself fails, nothing matches.
        names: list[str] = []
        try:
            for name in self.dns_ptr(self.i)[:_MOST_PTR]:
                try:
                    if self.cidrmatch(self.dns_a(name, self.A), self.cidrmax):
                        names.append(name)
                except spf.TempError:
                    continue
        except spf.TempError:
            pass
        return names

    def cidrmatch(self, ipaddrs: list[Any], n: int) -> bool:
        client, shift = int(self.ipaddr), self.cidrmax - n
        try:
            # Addresses from the DNS have been read already; there may be a thousand.
            return any(
                (int(ipaddress.ip_address(known) if isinstance(known, str) else known) ^ client) >> shift == 0
                for known in ipaddrs
            )
        except ValueError as trouble:
            raise spf.PermError("invalid address") from trouble

    def get_explanation(self, spec: str) -> None:
        return None

    def expand(self, s: str, stripdot: bool = True) -> str:
        expanded: str = super().expand(s, stripdot)
        if len(expanded) <= _LONGEST_NAME:
            return expanded
        # RFC 7208 §7.3: labels are removed from the left until it is a possible name.
        return expanded[-_LONGEST_NAME - 1 :].partition(".")[2]


def _is_void(answer: Answer) -> bool:
    """Whether a look-up was in vain (RFC 7208 §4.6.4).

    A name without AAAA is not: an IPv6 client would make errors of correct records that name IPv4 hosts.
    """
    return answer.status is Status.NO_NAME or (answer.status is Status.NO_DATA and answer.kind != "AAAA")
