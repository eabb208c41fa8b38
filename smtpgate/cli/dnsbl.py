"""`smtpgate dnsbl`: how the DNS lists are doing; `smtpgate dnsbl check`: what they say about an address or a domain."""

import argparse
import asyncio
import ipaddress
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.cli.age import age
from smtpgate.cli.settings import add_config_option, load_settings, server_section
from smtpgate.config.settings import Settings
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.stub import StubResolver
from smtpgate.dnsbl.lists import ListAnswer, ask_once, reason
from smtpgate.dnsbl.self_test import Finding, Kind, self_test
from smtpgate.server.control import ControlError, ask
from smtpgate.server.lists import ConfiguredList, configured_lists
from smtpgate.values import IPAddress, domain, unmapped

_ANSWER_WITHIN = 10.0
NOT_LISTED, LISTED, UNKNOWN = 0, 1, 2


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("dnsbl", help="tell how the DNS block and allow lists are doing, or ask them all")
    add_config_option(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    check = actions.add_parser("check", help="ask every configured list about an address, or a domain")
    check.add_argument("subject", type=_subject, metavar="IP|DOMAIN")
    add_config_option(check)


def run(args: argparse.Namespace) -> int:
    """Tell, or ask. Status of check: 0 not listed, 1 listed, 2 it could not be told; else 1 if a list is suspended."""
    if args.action == "check":
        return asyncio.run(_check(load_settings(args.config), args.subject))
    try:
        lists = ask(server_section(args.config).control, "status", _ANSWER_WITHIN)["lists"]
    except ControlError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        print("What the lists say can be asked without a server: smtpgate dnsbl check IP", file=sys.stderr)
        return 1
    print("\n".join(table(lists, time.time())) if lists else "No rule asks a list.")
    return int(any(one["state"] == "suspended" for one in lists))


def table(lists: Sequence[dict[str, Any]], now: float) -> Iterator[str]:
    """How each list is doing, by what the server says of it. now: seconds since 1970."""
    width = max(4, *(len(one["list"]) for one in lists))
    yield (
        f"{'list':<{width}}  {'about':<7}  {'state':<9}  {'since':>7}  {'asked':>7}  {'listed':>7}  {'failed':>6}"
        f"  {'spared':>6}  {'mean':>7}  {'p95':>7}  {'tested':>11}"
    )
    for one in lists:
        tested = "-" if one["tested"] is None else f"{age(now - one['tested'])} ago"
        yield (
            f"{one['list']:<{width}}  {one['kind']:<7}  {one['state']:<9}  {age(now - one['since']):>7}"
            f"  {one['asked']:>7}  {one['listed']:>7}  {one['failed']:>6}  {one['not_asked']:>6}"
            f"  {_ms(one['mean']):>7}  {_ms(one['p95']):>7}  {tested:>11}"
        )
        yield from (f"    {line}" for line in _remarks(one))


def _remarks(one: dict[str, Any]) -> Iterator[str]:
    workers = sum(one["states"].values())
    if one["states"][one["state"]] < workers:
        yield f"in {one['states'][one['state']]} of {workers} workers"
    if one["reason"]:
        yield one["reason"]
    if one["test"] not in ("good", one["reason"]):
        yield f"self-test: {one['test']}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


@dataclass(frozen=True, slots=True)
class _Said:
    """What a list said, and whether it can be believed."""

    by: ConfiguredList
    answer: ListAnswer
    reason: str | None
    finding: Finding

    @property
    def status(self) -> int:
        """Listed, not listed, or unknown. A list that permits lists nobody whom this command should warn."""
        if self.by.allows:
            return NOT_LISTED
        if self.answer.failed or self.finding.wrong or _refusal(self.answer):
            return UNKNOWN
        return LISTED if self.answer.listed else NOT_LISTED


async def _check(settings: Settings, subject: IPAddress | str) -> int:
    kind = Kind.of(subject)
    wanted = "domains" if kind is Kind.DOMAINS else "addresses"
    lists = {one.listing: one for one in configured_lists(settings) if one.listing.subjects == wanted}
    if not lists:
        rules = "reject_rhsbl_…" if kind is Kind.DOMAINS else "reject_rbl_client …"
        print(f"smtpgate: no rule asks a list of {wanted}, as {rules} would", file=sys.stderr)
        return UNKNOWN
    # Of size 0: what is asked twice at one time is one question, and nothing is remembered.
    stub = StubResolver(settings.dns.nameservers, settings.dns.timeout)
    dns = CachingResolver(stub, size=0)
    all_said = await asyncio.gather(*(_ask(dns, one, subject) for one in lists.values()))
    stub.close()
    print(subject)
    width = max(len(said.by.listing.public_text) for said in all_said)
    for said in all_said:
        print(f"  {said.by.listing.public_text:<{width}}  {_meaning(said)}")
        if said.answer.listed and said.reason:
            print(f"  {'':<{width}}  {said.reason}")
    statuses = {said.status for said in all_said}
    return next(status for status in (LISTED, UNKNOWN, NOT_LISTED) if status in statuses)


async def _ask(dns: CachingResolver, by: ConfiguredList, subject: IPAddress | str) -> _Said:
    answer, finding = await asyncio.gather(
        ask_once(dns, by.listing, subject), self_test(dns, by.listing, Kind.of(subject))
    )
    return _Said(by, answer, await reason(dns, answer) if answer.listed else None, finding)


def _meaning(said: _Said) -> str:
    answer = said.answer
    codes = ", ".join(map(str, answer.answer.records[:8]))
    if wrong := said.finding.wrong or _refusal(answer):
        return f"cannot be believed: {wrong}" + (f" (answered {codes})" if codes else "")
    if answer.failed:
        return f"no answer: {answer.answer.detail or answer.answer.status}"
    if answer.listed:
        return f"listed: {codes}" + (", which is to its credit" if said.by.allows else "")
    if codes:
        return f"not listed: {codes} does not count"
    # What its answers are worth, where the self-test could not show that it lists anybody.
    remark = said.finding.note or said.finding.unknown
    return f"not listed; self-test: {remark}" if remark else "not listed"


def _refusal(answer: ListAnswer) -> str:
    """Why an answer is none, though the self-test may have been good."""
    return "; ".join(answer.evidence.get("list_error", ()))


def _subject(text: str) -> IPAddress | str:
    """An address or a domain."""
    bare = text.strip("[]").removeprefix("IPv6:")
    try:
        return unmapped(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        if text.rpartition(".")[2].isdecimal():  # 192.0.2.400
            raise ValueError
        return str(domain(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is no IP address and no domain') from None
