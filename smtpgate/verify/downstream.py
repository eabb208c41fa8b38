"""Asks the downstream whether it would take mail for an address."""

from smtpgate.phases.facts import Address
from smtpgate.phases.verification import Finding, Verification
from smtpgate.relay.downstream import Downstream, DownstreamUnavailable, Envelope, RelayReply


class DownstreamProbe:
    """A transaction with the downstream that ends before it has a content.

    hostname: who asks; the downstream's log and rules must not take it for the client before.
    """

    def __init__(self, downstream: Downstream, hostname: str) -> None:
        self._downstream = downstream
        self._client = {
            "NAME": hostname, "ADDR": "127.0.0.1", "PORT": "", "PROTO": "ESMTP", "HELO": hostname, "IDENT": "",
            "SOURCE": "LOCAL",
        }  # fmt: skip

    async def __call__(self, address: Address) -> Verification:
        """MAIL FROM:<>, RCPT, RSET."""
        # A bounce is what every address must take (RFC 5321 §4.5.5), and it asks nobody else about its sender.
        envelope = Envelope("", smtputf8=not address.text.isascii(), client=self._client)
        delivery = self._downstream.begin(envelope)
        try:
            return verification(await delivery.recipient(address.text))
        except DownstreamUnavailable as trouble:
            return Verification(Finding.UNKNOWN, evidence={"downstream": str(trouble)})
        finally:
            await delivery.abandon()


def verification(reply: RelayReply) -> Verification:
    """What a server's answer to a probe means."""
    if reply.is_positive:
        finding = Finding.DELIVERABLE
    else:
        finding = Finding.UNDELIVERABLE if reply.code >= 500 else Finding.UNKNOWN
    return Verification(finding, reply.text[:250], {"answer": str(reply)[:500]})
