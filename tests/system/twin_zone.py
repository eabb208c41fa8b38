"""The world that smtpgate and Postfix are asked about: a DNS zone, clients, and names that meet every branch."""

import ipaddress

import dns.message
import dns.rdatatype

from smtpgate.dns.resolver import reverse_name
from tests.dns.name_server import wire

# Who connects. Each client is known by one thing that the DNS says of it.
CLIENTS = {
    "good": "192.0.2.10",
    "nameless": "192.0.2.11",
    "no-forward": "192.0.2.12",
    "mismatch": "192.0.2.13",
    "reverse-fails": "192.0.2.14",
    "forward-fails": "192.0.2.15",
    "listed": "192.0.2.16",
    "listed-otherwise": "192.0.2.17",
    "parked": "192.0.2.18",
    "refused-by-list": "192.0.2.19",
    "two-names": "192.0.2.20",
    "ours": "198.51.100.5",
    "good-6": "2001:db8::10",
    "nameless-6": "2001:db8::11",
    "listed-6": "2001:db8::12",
}
MYNETWORKS = "198.51.100.0/24"
SERVER, SERVER_6 = "192.0.2.1", "2001:db8::1"
ADDRESSES = (f"{SERVER}/24", "198.51.100.5/32", *(f"{SERVER_6[:-1]}{end}/128" for end in ("1", "10", "11", "12")))

# "name type data"; "*" as the data: the server fails (SERVFAIL).
_ZONE = """
good.client.example A 192.0.2.10
good.client.example AAAA 2001:db8::10
mismatch.client.example A 192.0.2.99
fwd-fails.client.example A *
fwd-fails.client.example AAAA *
listed.client.example A 192.0.2.16
two-b.client.example A 192.0.2.20
two-a.client.example A 192.0.2.98
ours.example.org A 198.51.100.5
v4only.helo.example A 192.0.2.10
v6only.helo.example AAAA 2001:db8::10
mxonly.helo.example MX 10 mx.good.example.
nullmx.helo.example MX 0 .
txtonly.helo.example TXT "no address"
fails.helo.example A *
fails.helo.example AAAA *
fails.helo.example MX *
good.example MX 10 mx.good.example.
good.example NS ns.good.example.
mx.good.example A 192.0.2.30
ns.good.example A 192.0.2.31
badmx.example MX 10 mx.badmx.example.
badmx.example NS ns.badmx.example.
mx.badmx.example A 192.0.2.66
ns.badmx.example A 192.0.2.67
aonly.example A 192.0.2.32
aaaaonly.example AAAA 2001:db8::32
dangling.example MX 10 nowhere.dangling.example.
nullmx.example MX 0 .
txtonly.example TXT "no mail here"
fails.example MX *
fails.example A *
fails.example AAAA *
fails.example NS *
afails.example TXT "the address is not to be had"
afails.example A *
afails.example AAAA *
listed.example MX 10 mx.good.example.
alias.example CNAME good.example.
xn--bcher-kva.example MX 10 mx.good.example.
example.org MX 10 mx.example.org.
mx.example.org A 192.0.2.1
listed.example.dbl.example A 127.0.1.2
listed.example.dbl.example TXT "a listed domain"
listed.client.example.dbl.example A 127.0.1.2
good.client.example.wl.example A 127.0.0.2
backup.example MX 5 mx.good.example.
backup.example MX 10 mx.example.org.
parked.client.example A 192.0.2.18
fails.example.dbl.example A *
"""
# What is said of addresses: (client, below which zone, type, data).
_OF_CLIENTS = (
    ("good", "", "PTR", "good.client.example."),
    ("no-forward", "", "PTR", "no-forward.client.example."),
    ("mismatch", "", "PTR", "mismatch.client.example."),
    ("reverse-fails", "", "PTR", "*"),
    ("forward-fails", "", "PTR", "fwd-fails.client.example."),
    ("listed", "", "PTR", "listed.client.example."),
    ("two-names", "", "PTR", "two-a.client.example."),
    ("two-names", "", "PTR", "two-b.client.example."),
    ("ours", "", "PTR", "ours.example.org."),
    ("good-6", "", "PTR", "good.client.example."),
    ("listed", "bl.example", "A", "127.0.0.2"),
    ("listed", "bl.example", "TXT", '"listed, see the list"'),
    ("listed", "wl.example", "A", "127.0.5.1"),
    ("listed-otherwise", "bl.example", "A", "127.0.0.10"),
    ("listed-otherwise", "wl.example", "A", "*"),
    ("parked", "", "PTR", "parked.client.example."),
    ("parked", "parked.example", "A", "203.0.113.1"),
    ("refused-by-list", "refusing.example", "A", "127.255.255.254"),
    ("listed-6", "bl.example", "A", "127.0.0.4"),
    ("nameless", "bl.example", "A", "*"),
)

HELO_NAMES = (
    "good.client.example", "good.client.example", "good.client.example", "v4only.helo.example", "v6only.helo.example",
    "mxonly.helo.example", "nullmx.helo.example", "txtonly.helo.example", "fails.helo.example", "nosuch.helo.example",
    "listed.client.example", "good.client.example.", "Good.Client.EXAMPLE", "localhost", "192.0.2.10", "[192.0.2.10]",
    "[192.0.2.300]", "[IPv6:2001:db8::10]", "[2001:db8::10]", "[IPv6:nothing]", "[", "bad_name.example", "-bad.example",
    "bad-.example", "bad..example", ".bad.example", "a" * 64 + ".example", "12345", "1.2.3", "xn--bcher-kva.example",
    "2001:db8::10", "a#b.example", "mx.example.org",
)  # fmt: skip
SENDERS = (
    "", "ann@good.example", "ann@good.example", "ann@good.example", "ann@nosuch.example", "ann@fails.example",
    "ann@afails.example", "ann@nullmx.example", "ann@aonly.example", "ann@aaaaonly.example", "ann@dangling.example",
    "ann@txtonly.example", "ann@listed.example", "ann@badmx.example", "ann@alias.example", "ann@localhost", "ann",
    "ann@[192.0.2.10]", "ann@[IPv6:2001:db8::10]", "ann@example.org", "ann@sub.example.org", "ANN@GOOD.EXAMPLE",
    "ann@xn--bcher-kva.example", "ann@bücher.example", '"ann b"@good.example', "ann+tag@good.example",
    "ann@bad_name.example", "ann@192.0.2.10",
)  # fmt: skip
RECIPIENTS = (
    "you@example.org", "you@example.org", "you@example.org", "you@example.org", "also@example.org", "YOU@EXAMPLE.ORG",
    "you@elsewhere.example", "you@good.example", "you@nullmx.example", "you@nosuch.example", "you@fails.example",
    "you@sub.example.org", "you@localhost", "you", "postmaster", "Postmaster", "you%good.example@example.org",
    "good.example!you@example.org", "you@good.example@example.org", "@good.example:you@example.org",
    "you@backup.example", "you@[192.0.2.10]", '"you there"@example.org', "bücher@example.org", "you@listed.example",
)  # fmt: skip


def _zone() -> dict[tuple[str, str], list[str]]:
    lines = [line.split(maxsplit=2) for line in _ZONE.strip().splitlines()]
    lines += [[_asked(CLIENTS[client], below), kind, data] for client, below, kind, data in _OF_CLIENTS]
    zone: dict[tuple[str, str], list[str]] = {}
    for name, kind, data in lines:
        zone.setdefault((name, kind), []).append(data)
    return zone


def _asked(address: str, below: str) -> str:
    """The name under which a client is looked up: in its reverse zone, or in a list."""
    reverse = reverse_name(ipaddress.ip_address(address))
    return f"{reverse.removesuffix('.arpa').rpartition('.')[0]}.{below}" if below else reverse


_RECORDS = _zone()


def answers(question: dns.message.Message, tcp: bool) -> list[bytes]:
    """The name server's script (tests/dns/name_server.py)."""
    asked = question.question[0]
    name, kind = asked.name.to_text().lower().removesuffix("."), dns.rdatatype.to_text(asked.rdtype)
    lines = []
    if alias := _RECORDS.get((name, "CNAME")):
        lines.append(f"{name}. 300 IN CNAME {alias[0]}")
        name = alias[0].removesuffix(".")
    found = _RECORDS.get((name, kind), [])
    if "*" in found:
        return [wire(question, rcode="SERVFAIL")]
    lines += [f"{name}. 300 IN {kind} {data}" for data in found]
    exists = any(known == name or known.endswith("." + name) for known, _ in _RECORDS)
    return [wire(question, *lines, rcode="NOERROR" if exists else "NXDOMAIN")]
