"""The bare gate (bare_gate.py), and the least that look-ups cost: it asks the DNS before it answers RCPT.

The questions are those of `restrictions`: PTR for the client's address and A for the name, MX of the sender's domain,
an A record on each list. smtpgate's own resolver asks them, without its cache since no answer is known yet, each as
soon as its name is. What they say decides nothing.

`python -m bench.asking_gate PORT SINK NAMESERVER LIST …`
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import ClassVar

from bench.bare_gate import Client, main
from smtpgate.dns.resolver import Answer, RecordType
from smtpgate.dns.stub import StubResolver
from smtpgate.server.worker import freeze
from smtpgate.values import Endpoint


class AskingClient(Client):
    """A connection of Strangers'."""

    resolver: ClassVar[StubResolver]
    lists: ClassVar[Sequence[str]]

    def __init__(self) -> None:
        super().__init__()
        self._unanswered = 0
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, and ask about the client."""
        super().connection_made(transport)
        address: str = transport.get_extra_info("peername")[0]
        reverse = ".".join(reversed(address.split(".")))
        self._ask(f"{reverse}.in-addr.arpa", "PTR")
        for name in self.lists:
            self._ask(f"{reverse}.{name}", "A")

    def data_received(self, data: bytes) -> None:
        """Ask about the sender; no message of Strangers' begins like the command."""
        if data.startswith(b"MAIL"):
            self._ask(data[data.index(b"@") + 1 : data.index(b">")].decode(), "MX")
        super().data_received(data)

    def _put(self) -> None:
        if self._unanswered:
            self._is_waiting = True
        else:
            super()._put()

    def _ask(self, name: str, kind: RecordType) -> None:
        self._unanswered += 1
        self.resolver.ask(name, kind, self._answered, _always)

    def _answered(self, answer: Answer) -> None:
        if answer.kind == "PTR":
            self._ask(answer.records[0], "A")
        self._unanswered -= 1
        if self._is_waiting and not self._unanswered:
            super()._put()


def _always() -> bool:
    return True


if __name__ == "__main__":
    port, sink, nameserver, *lists = sys.argv[1:]
    # It opens its sockets, and takes its random octets, when it is first asked: each process has its own.
    AskingClient.resolver = StubResolver([Endpoint(nameserver, 53)], 5.0)
    AskingClient.lists = lists
    freeze()
    main(int(port), int(sink), AskingClient)
