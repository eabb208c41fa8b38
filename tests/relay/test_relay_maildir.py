import errno
import os
import re

import pytest

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RelayReply
from smtpgate.relay.maildir import MaildirDownstream
from smtpgate.relay.open import open_downstream
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.security import NO_SECURITY
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url
from smtpgate.relay.wire import Unsendable

CONTENT = b"Subject: x\r\n\r\n.dots stay\r\n"


@pytest.fixture
async def maildir(tmp_path):
    downstream = MaildirDownstream(str(tmp_path / "var" / "mail"))
    yield downstream
    await downstream.close()


async def deliver(downstream, sender="a@example.org", recipients=("b@x",)) -> list[RelayReply]:
    delivery = downstream.begin(Envelope(sender))
    for recipient in recipients:
        assert await delivery.recipient(recipient) == RelayReply(250, "2.1.5", "Ok")
    return await delivery.deliver(Content.of(CONTENT))


def files(tmp_path) -> dict[str, list[str]]:
    return {name: os.listdir(tmp_path / "var" / "mail" / name) for name in ("tmp", "new", "cur")}


@pytest.mark.parametrize("sender", ["", "a@example.org"])
async def test_a_message_is_one_file_in_new(maildir, tmp_path, sender):
    [reply] = await deliver(maildir, sender, ["b@x", "c@x"])
    [name] = files(tmp_path)["new"]
    assert files(tmp_path) == {"tmp": [], "new": [name], "cur": []}
    assert str(reply) == f"250 2.0.0 Ok: stored as {name}"
    assert re.fullmatch(rf"\d+\.{os.getpid()}_[0-9a-f]+\.[^/:]+", name)
    written = (tmp_path / "var" / "mail" / "new" / name).read_bytes()
    added = f"Return-Path: <{sender}>\r\nDelivered-To: b@x\r\nDelivered-To: c@x\r\n"
    assert written == added.encode() + CONTENT


async def test_every_message_has_a_name_of_its_own(maildir, tmp_path):
    for _ in range(20):
        await deliver(maildir)
    assert len(files(tmp_path)["new"]) == 20


async def test_a_host_name_cannot_lead_elsewhere(maildir, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "../a:b")
    await deliver(maildir)
    assert files(tmp_path)["new"][0].endswith(r"..\057a\072b")


async def test_it_is_on_disk_before_it_is_answered(maildir, tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    await deliver(maildir)
    [name] = files(tmp_path)["new"]
    assert synced == [f"/var/mail/tmp/{name}", "/var/mail/new"]


@pytest.mark.parametrize(("call", "after"), [("write", 2), ("fsync", 0), ("fsync", 1)])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_trouble_with_the_disk_leaves_nothing_behind(maildir, tmp_path, monkeypatch, call, after, number):
    real = getattr(os, call)
    calls = []

    def failing(*args):
        calls.append(args)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return real(args[0], bytes(args[1][:5])) if call == "write" else real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        if number == errno.EIO:
            with pytest.raises(DownstreamUnavailable):
                await deliver(maildir)
        else:
            assert [str(reply) for reply in await deliver(maildir)] == ["452 4.3.1 Insufficient system storage"]
    assert len(calls) == after + 1
    assert files(tmp_path) == {"tmp": [], "new": [], "cur": []}
    assert (await deliver(maildir))[0].is_positive


async def test_short_writes_are_completed(maildir, tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    await deliver(maildir)
    [name] = files(tmp_path)["new"]
    assert (tmp_path / "var" / "mail" / "new" / name).read_bytes().endswith(b"\r\n\r\n.dots stay\r\n")


async def test_a_place_where_no_maildir_can_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    downstream = MaildirDownstream(str(tmp_path / "file"))
    with pytest.raises(DownstreamUnavailable):
        await deliver(downstream)
    await downstream.close()


async def test_trouble_is_over_when_a_file_can_be_written_again(tmp_path, caplog):
    """Not before: a recipient alone tells nothing."""
    place = tmp_path / "mail" / "new"
    place.parent.mkdir()
    place.write_bytes(b"")
    url = parse_url(f"maildir:{place.parent}")
    downstream = open_downstream([url], hostname="mx.example.net", limits=PoolLimits(), security=NO_SECURITY)
    with pytest.raises(DownstreamUnavailable):
        await deliver(downstream)
    for _ in range(3):
        with pytest.raises(DownstreamUnavailable):
            await downstream.begin(Envelope("a@example.org")).recipient("b@x")
    place.unlink()
    assert (await deliver(downstream))[0].is_positive
    assert caplog.messages == [
        f"{url} fails: maildir: File exists: '{place}'",
        f"{url} answers again",
    ]  # fmt: skip
    assert [len(os.listdir(place.parent / name)) for name in ("tmp", "new")] == [0, 1]
    await downstream.close()


async def test_abandoned_means_nothing_is_written(maildir, tmp_path):
    delivery = maildir.begin(Envelope("a@b.c"))
    await delivery.recipient("b@x")
    await delivery.abandon()
    assert not (tmp_path / "var").exists()


async def test_addresses_cannot_add_header_fields(maildir):
    with pytest.raises(Unsendable):
        await maildir.begin(Envelope("")).recipient("b@x\r\nX-Evil: 1")
    with pytest.raises(Unsendable):
        await deliver(maildir, "a@x>\r\nX-Evil: 1")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("maildir:var/mail", MaildirDownstream),
        ("smtp://127.0.0.1:25", SmtpDownstream),
        ("lmtp+unix:/l", SmtpDownstream),
    ],
)
async def test_a_url_opens_its_downstream(url, kind):
    downstream = open_downstream([parse_url(url)], hostname="mx.example.net", limits=PoolLimits(), security=NO_SECURITY)
    assert [type(member.server) for member in downstream._members] == [kind]
    assert [health.name for health in downstream.health()] == [str(parse_url(url))]
    await downstream.close()
