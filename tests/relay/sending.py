"""A downstream of a scripted server, and messages for it."""

from smtpgate.content import Content
from smtpgate.relay.downstream import Envelope, RelayReply
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url

ENVELOPE = Envelope("a@example.org")
CONTENT = Content.of(b"Subject: x\r\n\r\n.hello\r\n..\r\nend")
OK = RelayReply(250, "2.1.5", "Recipient ok")
QUEUED = RelayReply(250, "2.0.0", "Queued as 1")
# However slow the machine is: nobody waits so long, but who moves the clock (tests.loops.let_pass).
IN_TIME = {"connect_timeout": 60.0, "timeout": 60.0}


def downstream_of(server, **limits) -> SmtpDownstream:
    limits = PoolLimits(**{**IN_TIME, **limits})
    return SmtpDownstream(parse_url(server.url), hostname="mx.example.net", limits=limits)


async def send(downstream, envelope=ENVELOPE, content=CONTENT, recipients=("b@example.com",)) -> list[RelayReply]:
    delivery = downstream.begin(envelope)
    for recipient in recipients:
        assert (await delivery.recipient(recipient)).is_positive
    return await delivery.deliver(content)
