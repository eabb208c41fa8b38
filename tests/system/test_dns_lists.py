"""A server whose lists behave badly, as lists do: none of them refuses mail, and all of it is told."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.dns.name_server import name_server, wire
from tests.dnsbl.fake_lists import BEHAVIOURS, Behaviour, good
from tests.system.gate import Gate
from tests.system.program import PATIENCE

LISTED, NAME = "203.0.113.7", "7.113.0.203"
CODED = "reject_rbl_client good.example=127.0.0.[2..11]"

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 2
xclient_peers = ["127.0.0.1"]
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "maildir:mail"
[store]
url = "sqlite:///var/smtpgate.db"
[dns]
nameservers = ["127.0.0.1:NAMESERVER"]
timeout = "60s"
[phases]
client = [RULES]
mail = ["reject_rhsbl_sender domains.example"]
rcpt = ["reject_unauth_destination"]
"""


class Lists:
    """The zones that the name server has. It fails where nobody answers."""

    def __init__(self, **zones: Behaviour) -> None:
        self.zones = zones
        self.asked: list[str] = []

    def answer(self, question, tcp: bool) -> list[bytes]:
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        label, _, zone = name.removesuffix(".example").rpartition(".")
        self.asked.append(name)
        addresses = self.zones[zone](label)
        if addresses is None:
            return [wire(question, rcode="SERVFAIL")]
        if not addresses:
            soa = f"{zone}.example. 1 IN SOA ns.example. postmaster.example. 1 1 1 1 1"
            return [wire(question, authority=[soa], rcode="NXDOMAIN")]
        return [wire(question, *(f"{name}. 1 IN A {address}" for address in addresses))]


@contextlib.asynccontextmanager
async def gate(directory: Path, lists: Lists, *rules: str, options: Sequence[str] = ()) -> AsyncIterator[Gate]:
    lists.zones.setdefault("domains", good("bad.example.net"))
    async with name_server(lists.answer) as server:
        written = ", ".join(f'"{rule}"' for rule in rules)
        config = _CONFIG.replace("NAMESERVER", str(server.port)).replace("RULES", written)
        gate = Gate(directory, config=config)
        await asyncio.to_thread(gate.start, *options)
        try:
            yield gate
        finally:
            await asyncio.to_thread(gate.close)


def mail(gate: Gate, client: str = LISTED, sender: str = "a@example.net") -> str:
    """The answer to RCPT."""
    with gate.client() as smtp:
        smtp.docmd("XCLIENT", f"ADDR={client}")
        smtp.ehlo()
        smtp.docmd("MAIL", f"FROM:<{sender}>")
        code, text = smtp.docmd("RCPT", "TO:<b@example.org>")
        return f"{code} {text.decode()}"


def _tells(one: dict) -> bool:
    return one["kind"] != "IPv6" and one["list"] not in ("silent.example", "domains.example")


def reported(gate: Gate, *states: str) -> str:
    """What `smtpgate dnsbl` prints once the workers, who report once a second, have told how each list ended up."""
    deadline = time.monotonic() + PATIENCE
    while any(one["state"] not in states for one in gate.status()["lists"] if _tells(one)):
        assert time.monotonic() < deadline, gate.status()["lists"]
    return gate.command("dnsbl").stdout


async def test_bad_lists_refuse_nobody(tmp_path: Path) -> None:
    lists = Lists(**BEHAVIOURS)
    async with gate(tmp_path, lists, *(f"reject_rbl_client {name}.example" for name in BEHAVIOURS)) as server:
        assert (await asyncio.to_thread(mail, server)).startswith("250 ")
        assert (await asyncio.to_thread(mail, server, "2001:db8::7")).startswith("250 ")
        for name in BEHAVIOURS.keys() - {"silent"}:
            line = f"WARNING: {name}.example \\(IPv4\\) is suspended: "
            await asyncio.to_thread(server.program.wait_for, line)
        told = await asyncio.to_thread(reported, server, "suspended")
        status = (await asyncio.to_thread(server.command, "dnsbl")).returncode
        why = await asyncio.to_thread(server.command, "why", LISTED)
        lists.asked.clear()
        assert (await asyncio.to_thread(mail, server)).startswith("250 ")
        bad = [name for name in lists.asked if name.startswith(NAME) and not name.endswith("silent.example")]
    assert bad == []
    told_of = re.findall(r"(\w+)\.example \(IPv4\) is suspended", server.program.printed)
    assert len(told_of) == len(set(told_of))  # not by each worker
    assert status == 1
    states = dict(re.findall(r"^(\w+)\.example +IPv4 +(\w+)", told, re.MULTILINE))
    assert states.pop("silent") in ("untested", "failing")
    assert states == dict.fromkeys(states, "suspended")
    assert len(states) == 5
    assert "it answered 127.255.255.254: it refuses open resolvers" in told
    assert "suspended: it lists 127.0.0.1, so probably everything" in why.stdout


async def test_one_process_tells_of_its_lists_too(tmp_path: Path) -> None:
    lists = Lists(everything=BEHAVIOURS["everything"])
    async with gate(tmp_path, lists, "reject_rbl_client everything.example", options=("--no-fork",)) as server:
        line = r"WARNING: everything.example \(IPv4\) is suspended: it lists 127.0.0.1"
        await asyncio.to_thread(server.program.wait_for, line)


async def test_a_list_comes_back(tmp_path: Path) -> None:
    lists = Lists(good=BEHAVIOURS["everything"])
    async with gate(tmp_path, lists, CODED) as server:
        assert (await asyncio.to_thread(mail, server)).startswith("250 ")
        lists.zones["good"] = good(NAME)
        assert (await asyncio.to_thread(server.command, "reload")).returncode == 0  # new workers test at once
        refused = await asyncio.to_thread(mail, server)
        assert refused.startswith("554 5.7.1 Service unavailable; Client host [203.0.113.7] blocked using good.example")
        assert (await asyncio.to_thread(mail, server, "198.51.100.7")).startswith("250 ")
        assert (await asyncio.to_thread(mail, server, "198.51.100.7", "a@bad.example.net")).startswith("554 ")
        told = await asyncio.to_thread(reported, server, "good")
        assert re.search(r"^good\.example +IPv4 +good ", told, re.MULTILINE)
