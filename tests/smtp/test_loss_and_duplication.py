"""Whatever the downstream does and wherever it breaks off: nobody who was promised a message lacks it, and nobody gets
it twice, unless an answer was lost.

The gate from MAIL to the reply at the end of data, real connections and pools, over imagined servers; a client that
sends one message again and again, as RFC 5321 §4.5.4.1 has it, until all is settled; and a model that knows who has it.
"""

import asyncio
import ipaddress
import tempfile
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.phases.facts import Address, Session
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.phases.reply import Reply
from smtpgate.relay.downstream import NO_PARAMETERS
from smtpgate.relay.failover import FailoverDownstream
from smtpgate.relay.routing import RoutingDownstream
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import DownstreamUrl
from smtpgate.smtp.command import MailParameters
from smtpgate.smtp.reception import Reception
from smtpgate.smtp.services import Services
from smtpgate.spool import Spool
from tests.fake_store import FakeDelivered
from tests.imagined_servers import USUAL, Fate, ImaginedLoop, ImaginedServer
from tests.virtual_time import pause

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
SENDER = Address("me@example.com", "me", "example.com")
NAMED = ["a@one.example", "b@one.example", "c@one.example", "d@two.example"]
REDIRECT = [MessageAction(Deed.REDIRECT, address) for address in ("to@one.example", "to@two.example")]
BCC = [MessageAction(Deed.BCC, address) for address in ("bcc@one.example", "bcc@two.example", "also@one.example")]
# Where trouble may come; most of it where it matters most.
POINTS = ["greeting", "EHLO", "LHLO", "MAIL", "RCPT", "RCPT", "DATA", "content", "dot", "dot", "dot", "dot", "RSET"]
# One client tries for days; all it takes is one attempt for each trouble, and for each recipient that goes by itself.
ATTEMPTS = 100

fates = st.one_of(
    st.builds(Fate, digit=st.sampled_from([4, 5, 0])),
    st.builds(Fate, sent=st.integers(0, 20), done=st.booleans(), hangs=st.booleans(), cut=st.integers(0, 9)),
    st.builds(Fate, cut=st.integers(0, 20), parting=st.booleans()),
    st.builds(Fate, cut=st.integers(0, 9), behind=st.sampled_from([b"\r\n", b"Ok", b"Bye\r\n", b"250-\r\n550 No\r\n"])),
)
servers = st.tuples(st.booleans(), st.sets(st.sampled_from(["PIPELINING", "CHUNKING"])))


@dataclass
class World:
    """ways: for each way (all, and two.example's own) its servers, in order of preference. fates: of some replies, such
    as the second to RCPT. deeds: what rules want done. happened: who got the message, and where the client was told
    250. mistakes: of the event loop's callbacks, such as a command out of step.
    """

    ways: list[list[tuple[bool, set[str]]]]
    fates: dict[tuple[str, int], Fate]
    deeds: list[MessageAction]
    replies: Counter[str] = field(default_factory=Counter)
    happened: list[Any] = field(default_factory=list)
    mistakes: list[Any] = field(default_factory=list)

    def fate(self, point: str) -> Fate:
        self.replies[point] += 1
        return self.fates.get((point, self.replies[point]), USUAL)

    def run(self, recipients: list[str], *, patience: float) -> None:
        listening: dict[int, ImaginedServer] = {}
        for way in self.ways:
            for lmtp, offers in way:
                offered = tuple(sorted(offers))
                listening[len(listening) + 1] = ImaginedServer(
                    lmtp=lmtp, offers=offered, fate=self.fate, saved=self.happened.append
                )
        with asyncio.Runner(loop_factory=lambda: ImaginedLoop(listening)) as runner:
            runner.run(self._play(recipients, patience))

    def _downstream(self) -> RoutingDownstream:
        ports = iter(range(1, 100))
        clock = asyncio.get_running_loop().time
        default, *routes = [
            FailoverDownstream(
                [
                    (f"s{port}", SmtpDownstream(DownstreamUrl("lmtp" if lmtp else "smtp", "s", port), hostname="mx"))
                    for (lmtp, _), port in zip(way, ports, strict=False)
                ],
                clock=clock,
                random=lambda: 0.5,
            )
            for way in self.ways
        ]
        return RoutingDownstream(default, {"two.example": routes[0]} if routes else {})

    async def _play(self, recipients: list[str], patience: float) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, mistake: self.mistakes.append(mistake))
        clock = asyncio.get_running_loop().time
        services = Services(
            "mx", NoRules(), self._downstream(), FakeDelivered(), lambda _: None, clock, Spool(tempfile.gettempdir())
        )
        pending = recipients
        for _ in range(ATTEMPTS):
            pending = await self._attempt(pending, services)
            await pause(patience)
            if not pending:
                break
        assert not pending, "the client is told to try again for ever"
        await services.downstream.close()

    async def _attempt(self, recipients: list[str], services: Services) -> list[str]:
        """One transaction of the client; to whom it will send again."""
        reception = Reception(Session(ipaddress.ip_address("192.0.2.1"), 4711, "test", helo="client"), services)
        await reception.mail(SENDER, MailParameters())
        replies: dict[str, Reply] = {}
        for recipient in recipients:
            replies[recipient] = await reception.rcpt(Address(recipient, *recipient.split("@")), NO_PARAMETERS)
        accepted = [recipient for recipient, reply in replies.items() if reply.is_positive]
        if accepted:
            assert await reception.data() is None
            reception.tx.deeds = tuple(self.deeds)
            reception.begin_content().add(CONTENT)
            replies |= dict.fromkeys(accepted, await reception.message(_waiting))
        reception.end_transaction()
        await services.drain()
        if accepted and replies[accepted[0]].is_positive:
            self._promised(accepted)
        return [recipient for recipient, reply in replies.items() if reply.is_temporary]

    def _promised(self, accepted: list[str]) -> None:
        """The client was told 250: all who are to get the message have it."""
        redirected = [deed.text for deed in self.deeds if deed.deed is Deed.REDIRECT][-1:]
        copied = [deed.text for deed in self.deeds if deed.deed is Deed.BCC]
        have = {save.recipient for save in self.happened if save is not PROMISED}
        assert have >= {*(redirected or accepted), *copied}
        self.happened.append(PROMISED)

    def twice(self) -> set[str]:
        """Who got the message though it was known that he has it. A rule's own address gets one for each promise."""
        known: set[str] = set()
        twice: set[str] = set()
        for happened in self.happened:
            if happened is PROMISED:
                known -= {deed.text for deed in self.deeds}
            else:
                twice |= known & {happened.recipient}
                known |= {happened.recipient} if happened.known else set()
        return twice


PROMISED = object()


async def _waiting(hand_over: Awaitable[Reply]) -> Reply:
    """The client is patient."""
    return await hand_over


class NoRules:
    """An engine that has nothing to ask."""

    def __init__(self) -> None:
        self.settling = self

    def is_concerned(self, phase: Any) -> bool:
        return False

    def settle(self, tx: Any, record: Any, settled: Any) -> None:
        settled(record)

    async def drain(self) -> None:
        pass


ways = st.lists(st.lists(servers, min_size=1, max_size=2), min_size=1, max_size=2)
troubles = st.dictionaries(st.tuples(st.sampled_from(POINTS), st.integers(1, 4)), fates, min_size=1, max_size=8)
deeds = st.lists(st.sampled_from(REDIRECT + BCC), max_size=3, unique=True)
recipients = st.lists(st.sampled_from(NAMED), min_size=1, max_size=5)


@settings(max_examples=400)
@given(ways, troubles, deeds, recipients, st.sampled_from([0.0, 100.0]))
def test_nobody_lacks_it_and_nobody_gets_it_twice(ways, troubles, deeds, recipients, patience) -> None:
    world = World(ways, troubles, deeds)
    world.run(recipients, patience=patience)
    assert world.twice() == set()
    assert world.mistakes == []
