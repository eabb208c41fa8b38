"""What the downstream is asked about a recipient, and what its answers mean."""

import pytest

from smtpgate.phases.verification import Finding
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.relay.open import open_downstream
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.security import NO_SECURITY
from smtpgate.relay.url import parse_url
from smtpgate.verify.downstream import DownstreamProbe
from tests.checks.asking import mailbox
from tests.fakes import FakeDownstream
from tests.harness import serving
from tests.relay.scripted import scripted


@pytest.mark.parametrize(
    ("answer", "finding", "reason"),
    [
        (RelayReply(250, "2.1.5", "Ok"), Finding.DELIVERABLE, "Ok"),
        (RelayReply(550, "5.1.1", "No such user"), Finding.UNDELIVERABLE, "No such user"),
        (RelayReply(450, "4.2.0", "Greylisted"), Finding.UNKNOWN, "Greylisted"),
        (DownstreamUnavailable("connection refused"), Finding.UNKNOWN, ""),
    ],
)
async def test_answers(answer: RelayReply | Exception, finding: Finding, reason: str) -> None:
    downstream = FakeDownstream(recipient={"b@example.org": answer})
    found = await DownstreamProbe(downstream, "mx.example.org")(mailbox("b@example.org"))
    assert (found.finding, found.reason) == (finding, reason)
    assert downstream.abandoned == 1
    assert downstream.messages == []


async def test_the_probe_is_a_bounce_without_content_and_leaves_its_connection_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smtpgate.relay.smtp._RSET_TIMEOUT", 60.0)  # however slow the machine is
    async with scripted({"RCPT": [b"250 2.1.5 Ok\r\n", b"550 5.1.1 Who?\r\n"]}) as server:
        limits = PoolLimits()
        downstream = open_downstream([parse_url(server.url)], hostname="mx", limits=limits, security=NO_SECURITY)
        probe = DownstreamProbe(downstream, "mx.example.org")
        found = [(await probe(mailbox(f"{user}@example.org"))).finding for user in "bc"]
        await downstream.close()
    assert found == [Finding.DELIVERABLE, Finding.UNDELIVERABLE]
    assert server.connections == 1
    assert server.commands[1:4] == [b"MAIL FROM:<>\r\n", b"RCPT TO:<b@example.org>\r\n", b"RSET\r\n"]


CONFIG = """
[phases]
rcpt = ["reject_unauth_destination", { rule = "reject_unverified_recipient", code = 550 }, "greylist"]
"""


async def test_before_greylisting_it_spares_the_greylist_unknown_users() -> None:
    downstream = FakeDownstream(recipient={"b@example.org": RelayReply(550, "5.1.1", "No such user")})
    async with serving(CONFIG, downstream=downstream) as gate, gate.client() as client:
        await client.greet()
        replies = await client.deliver("a@example.net", ["b@example.org", "c@example.org"], b"x: y\r\n\r\n")
    text = "<b@example.org>: Recipient address rejected: undeliverable address: No such user"
    assert replies[1].startswith(f"550 5.1.1 {text} (ref ")
    assert replies[2].startswith("450 4.2.0 Greylisted")
