"""A DNS server on loopback with a world of strangers in it, which answers with a delay as the real one does.

Each client 127.x.y.z has a name that leads back to it; each domain dN.senders.example an MX and an SPF record that
needs another look-up; every tenth client is on the block list.
"""

import asyncio
import re

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SENDER_SPF = '"v=spf1 include:_spf.senders.example -all"'
_REVERSE = re.compile(r"(\d+)\.(\d+)\.(\d+)\.127\.in-addr\.arpa\.")
_HOST = re.compile(r"h(\d+)-(\d+)-(\d+)\.hosts\.example\.")
_SENDER = re.compile(r"d\d+\.senders\.example\.")
_LISTED = re.compile(r"\d*0\.\d+\.\d+\.127\.zen\.spamhaus\.org\.")


class NameServer(asyncio.DatagramProtocol):
    """delay: seconds before each answer. texts: TXT records by name, lower case with the final dot."""

    def __init__(self, delay: float, texts: dict[str, list[str]]) -> None:
        self.asked = 0
        self._delay = delay
        self._texts = texts | {"_spf.senders.example.": ['"v=spf1 ip4:127.0.0.0/8 -all"']}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer, later."""
        self.asked += 1
        response = self._response(dns.message.from_wire(data)).to_wire()
        asyncio.get_running_loop().call_later(self._delay, self._transport.sendto, response, address)  # type: ignore[attr-defined]

    def _response(self, question: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(question, recursion_available=True)
        asked = question.question[0]
        kind = dns.rdatatype.to_text(asked.rdtype)
        records = self._records(asked.name.to_text().lower())
        if records is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif kind in records:
            response.answer.append(dns.rrset.from_text(asked.name, 300, "IN", kind, *records[kind]))
        return response

    def _records(self, name: str) -> dict[str, list[str]] | None:
        """All that there is of a name; None if there is no such name."""
        if name in self._texts:
            return {"TXT": self._texts[name]}
        if found := _REVERSE.fullmatch(name):
            return {"PTR": [f"h{found[3]}-{found[2]}-{found[1]}.hosts.example."]}
        if found := _HOST.fullmatch(name):
            return {"A": [f"127.{found[1]}.{found[2]}.{found[3]}"]}
        if _SENDER.fullmatch(name):
            return {"MX": ["10 mx.senders.example."], "TXT": [SENDER_SPF]}
        if _LISTED.fullmatch(name):
            return {"A": ["127.0.0.2"], "TXT": ['"listed, says the bench"']}
        return None
