"""What rules want done with a message: PREPEND, DISCARD, HOLD, REDIRECT, BCC."""

from pathlib import Path
from typing import Any

import pytest

from smtpgate.quarantine import Quarantine
from smtpgate.relay.downstream import DownstreamUnavailable, RcptParameters, RelayReply
from smtpgate.smtp.message_actions import released_envelope
from tests.fakes import FakeDownstream
from tests.harness import serving

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
NO = RelayReply(550, "5.1.1", "no such user")
LATER = RelayReply(450, "4.2.0", "later")


def rules(*results: str, mode: str = "enforce", phase: str = "rcpt") -> str:
    """A table for each result, which holds for every sender of example.net."""
    tables = ", ".join(
        f'{{ rule = "check_sender_access", table = {{ "example.net" = "{result}" }}, mode = "{mode}" }}'
        for result in results
    )
    lists = {"rcpt": '"reject_unauth_destination"', phase: tables}
    if phase == "rcpt":
        lists["rcpt"] = f'"reject_unauth_destination", {tables}'
    return "[phases]\n" + "".join(f"{name} = [{listed}]\n" for name, listed in lists.items())


async def deliver(
    config: str, downstream: FakeDownstream, quarantine: Quarantine | None = None, *recipients: str
) -> tuple[str, Any]:
    """One message; the answer to its end, and the record."""
    async with serving(config, downstream=downstream, quarantine=quarantine) as gate:
        async with gate.client() as client:
            await client.greet()
            answers = await client.deliver("me@example.net", recipients or ["you@example.org"], MESSAGE)
        return answers[-1], (await gate.settled())[-1]


async def test_prepended_fields_stand_first_in_their_order_and_once() -> None:
    downstream = FakeDownstream()
    config = rules("PREPEND X-First: 1", "PREPEND X-Second: ü")
    answer, record = await deliver(config, downstream, None, "a@example.org", "b@example.org")
    assert answer.startswith("250 2.0.0 ")
    assert downstream.messages[0].content.startswith("X-First: 1\r\nX-Second: ü\r\nReceived: from ".encode())
    assert downstream.messages[0].content.endswith(b"\r\n" + MESSAGE)
    assert record.outcome == "accepted"


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "end_of_data"])
async def test_discarded(phase: str) -> None:
    downstream = FakeDownstream()
    answer, record = await deliver(rules("DISCARD", phase=phase), downstream)
    assert answer.startswith("250 2.0.0 Ok (ref ")
    assert (downstream.messages, downstream.abandoned, record.outcome) == ([], 1, "discarded")


async def test_a_refusal_goes_before_discarding() -> None:
    config = '[phases]\nmail = [{ rule = "check_sender_access", table = { "example.net" = "DISCARD" } }]\n'
    answer, record = await deliver(
        config + 'rcpt = ["reject_unauth_destination"]\nend_of_data = ["reject"]', FakeDownstream()
    )
    assert answer.startswith("554 5.7.1 ")
    assert record.outcome == "rejected"


async def test_redirected() -> None:
    downstream = FakeDownstream()
    config = rules("REDIRECT first@example.com", "REDIRECT last@example.com")
    answer, record = await deliver(config, downstream, None, "a@example.org", "b@example.org")
    assert answer.startswith("250 2.0.0 ")
    assert [message.recipients for message in downstream.messages] == [("last@example.com",)]
    assert [entry.command for entry in record.relay][-2:] == ["RCPT last@example.com", "end of data"]


@pytest.mark.parametrize("trouble", [NO, LATER])
async def test_an_address_that_is_not_taken_is_our_own_trouble(trouble: RelayReply) -> None:
    downstream = FakeDownstream(recipient={"other@example.com": trouble})
    answer, record = await deliver(rules("REDIRECT other@example.com"), downstream)
    assert answer.startswith("451 4.3.0 ")
    assert (downstream.messages, record.outcome) == ([], "deferred")


async def test_a_downstream_that_is_away_is_a_deferral() -> None:
    downstream = FakeDownstream(recipient={"other@example.com": DownstreamUnavailable("gone")})
    answer, _ = await deliver(rules("REDIRECT other@example.com"), downstream)
    assert answer.startswith("451 4.4.1 ")


async def test_copied() -> None:
    downstream = FakeDownstream(extensions=["DSN"])
    answer, _ = await deliver(rules("BCC one@example.com", "BCC two@example.com"), downstream)
    assert answer.startswith("250 2.0.0 ")
    (message,) = downstream.messages
    assert message.recipients == ("you@example.org", "one@example.com", "two@example.com")
    # The sender hears nothing of copies (RFC 3461 §4.1).
    assert [parameters.notify for parameters in message.parameters] == [None, "NEVER", "NEVER"]


@pytest.mark.parametrize("trouble", [NO, LATER])
async def test_a_copy_that_is_not_taken_puts_the_message_off(trouble: RelayReply) -> None:
    downstream = FakeDownstream(recipient={"archive@example.com": trouble})
    answer, _ = await deliver(rules("BCC archive@example.com"), downstream)
    assert answer.startswith("451 4.3.0 ")
    assert downstream.messages == []


@pytest.mark.parametrize("trouble", [NO, LATER, DownstreamUnavailable("gone")])
@pytest.mark.parametrize("result", ["REDIRECT other@example.com", "BCC other@example.com"])
async def test_whatever_goes_wrong_no_connection_stays_busy(result: str, trouble: RelayReply | Exception) -> None:
    downstream = FakeDownstream(recipient={"other@example.com": trouble})
    answer, _ = await deliver(rules(result), downstream)
    assert answer.startswith("451 ")
    assert downstream.left_open == 0


async def test_a_copy_whose_own_server_is_away_leaves_no_connection_busy() -> None:
    downstream = OneAtATime(recipient={"other@example.com": DownstreamUnavailable("gone")})
    answer, _ = await deliver(rules("BCC other@example.com"), downstream)
    assert answer.startswith("451 4.4.1 ")
    assert (downstream.messages, downstream.left_open) == ([], 0)


class OneAtATime(FakeDownstream):
    """A downstream that takes one recipient a transaction, as if each had a route of its own."""

    def begin(self, envelope: Any) -> Any:
        delivery = super().begin(envelope)
        take = delivery.recipient

        async def recipient(address: str, parameters: RcptParameters = RcptParameters()) -> RelayReply:  # noqa: B008
            return RelayReply(452, "4.5.3", "separately") if delivery._accepted else await take(address, parameters)

        delivery.recipient = recipient  # type: ignore[method-assign]
        return delivery


@pytest.mark.parametrize("trouble", [NO, LATER])
async def test_a_refusal_at_the_end_of_redirected_mail_is_our_own_trouble_too(trouble: RelayReply) -> None:
    downstream = FakeDownstream(deliver=[trouble])
    answer, record = await deliver(rules("REDIRECT other@example.com"), downstream)
    assert answer.startswith("451 4.3.0 ")
    entries = [(entry.command, entry.reply) for entry in record.relay]
    assert ("RCPT other@example.com", str(trouble)) in entries


async def test_who_is_named_by_the_client_and_by_a_rule_gets_it_once() -> None:
    downstream = FakeDownstream()
    answer, _ = await deliver(rules("BCC you@example.org"), downstream)
    assert answer.startswith("250 2.0.0 ")
    assert [message.recipients for message in downstream.messages] == [("you@example.org",)]


async def test_the_record_tells_what_became_of_a_copy() -> None:
    downstream = FakeDownstream(per_recipient=True, deliver=[NO])
    answer, record = await deliver(rules("BCC archive@example.com"), downstream)
    assert answer.startswith("451 4.3.0 ")
    assert (downstream.messages, downstream.left_open) == ([], 0)
    assert ("RCPT archive@example.com", str(NO)) in [(entry.command, entry.reply) for entry in record.relay]


async def test_a_copy_with_another_route_goes_by_itself() -> None:
    downstream = OneAtATime()
    answer, _ = await deliver(rules("BCC archive@example.com"), downstream)
    assert answer.startswith("250 2.0.0 ")
    assert [message.recipients for message in downstream.messages] == [("archive@example.com",), ("you@example.org",)]


async def test_held(tmp_path: Path) -> None:
    downstream, quarantine = FakeDownstream(), Quarantine(str(tmp_path / "held"))
    config = rules("HOLD odd", "PREPEND X-Held: yes", "BCC archive@example.com")
    answer, record = await deliver(config, downstream, quarantine)
    assert answer == f"250 2.0.0 Ok (ref {record.ref})"
    assert (downstream.messages, record.outcome) == ([], "held")
    (name,) = quarantine.names()
    assert name.endswith(record.ref)
    with quarantine.taken(name) as (held, file):
        content = file.read()
    envelope, recipients = released_envelope(held)
    assert (envelope.sender, held["reason"]) == ("me@example.net", "odd")
    assert [address for address, _ in recipients] == ["you@example.org", "archive@example.com"]
    assert content.startswith(b"X-Held: yes\r\nReceived: ")
    assert content.endswith(b"\r\n" + MESSAGE)


async def test_no_room_to_hold_it_is_never_a_250(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer, record = await deliver(rules("HOLD"), FakeDownstream(), Quarantine(str(tmp_path / "file")))
    assert answer.startswith("452 4.3.1 ")
    assert record.outcome == "deferred"


async def test_a_full_quarantine_puts_the_message_off_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    downstream = FakeDownstream()
    quarantine = Quarantine(str(tmp_path), 1)
    quarantine.keep("1-A", {}, [b""])
    answer, record = await deliver(rules("HOLD"), downstream, quarantine)
    assert answer == f"452 4.3.1 Insufficient system storage (ref {record.ref})"
    assert (downstream.messages, quarantine.names()) == ([], ["1-A"])
    assert "the quarantine is full" in record.relay[-2].reply
    assert (
        f"messages that rules hold are put off: {tmp_path}: the quarantine is full: see quarantine_size" in caplog.text
    )


@pytest.mark.parametrize(
    "result", ["DISCARD", "HOLD", "REDIRECT other@example.com", "BCC other@example.com", "PREPEND X: y"]
)
async def test_in_shadow_mode_nothing_happens_and_the_record_says_what_would_have(result: str, tmp_path: Path) -> None:
    downstream, quarantine = FakeDownstream(), Quarantine(str(tmp_path / "held"))
    answer, record = await deliver(rules(result, mode="shadow"), downstream, quarantine)
    assert answer.startswith("250 2.0.0 ")
    (message,) = downstream.messages
    assert message.recipients == ("you@example.org",)
    assert message.content.startswith(b"Received: ")
    assert quarantine.names() == []
    assert record.outcome == "accepted"
    (entry,) = [entry for entry in record.rules if entry.rule.startswith("check_sender_access")]
    assert (entry.mode, entry.evidence["result"]) == ("shadow", result)


async def test_what_a_refused_recipient_led_to_does_not_count() -> None:
    config = """[phases]
rcpt = ["reject_unauth_destination", { rule = "check_recipient_access", table = { "trap@" = "DISCARD" } }]
"""
    downstream = FakeDownstream(recipient={"trap@example.org": NO})
    answer, _ = await deliver(config, downstream, None, "trap@example.org", "you@example.org")
    assert answer.startswith("250 2.0.0 ")
    assert [message.recipients for message in downstream.messages] == [("you@example.org",)]
