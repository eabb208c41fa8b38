"""reject_attachment: by name, by type, and what cannot be looked through."""

import tempfile

import pytest

from smtpgate.spool import Spool
from tests.checks.asking import ask, context, facts, short
from tests.harness import serving
from tests.loops import turns_of_others

REJECT = "reject 550 5.7.1"


def mixed(*headers: str) -> bytes:
    parts = "".join(f"--b\r\n{header}\r\n\r\ncontent\r\n" for header in headers)
    return f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n{parts}--b--\r\n'.encode()


@pytest.mark.parametrize(
    ("message", "options", "expected"),
    [
        (b"Subject: x\r\n\r\nevil.exe\r\n", {}, "dunno"),
        (b"", {}, "dunno"),
        (mixed("Content-Disposition: attachment; filename=good.pdf"), {}, "dunno"),
        (mixed("Content-Disposition: attachment; filename=evil.exe"), {}, REJECT),
        (mixed("X: y", "Content-Type: image/png; name=EVIL.Exe"), {}, REJECT),
        (b"Content-Type: application/octet-stream; name=evil.exe\r\n\r\n", {}, REJECT),
        (mixed("Content-Disposition: attachment; filename=evil.exe"), {"names": ["*.SCR"]}, "dunno"),
        (mixed("Content-Disposition: attachment; filename=evil.scr"), {"names": ["*.SCR"]}, REJECT),
        (mixed("Content-Disposition: attachment; filename=invoice7.zip"), {"names": ["invoice?.zip"]}, REJECT),
        (mixed("Content-Type: Application/X-MSDownload"), {}, "dunno"),
        (mixed("Content-Type: Application/X-MSDownload"), {"types": ["application/x-msdownload"]}, REJECT),
        (mixed("Content-Type: application/x-sh"), {"types": ["application/*"], "names": []}, REJECT),
        (mixed("Content-Type: text/plain"), {"types": ["application/*"], "names": []}, "dunno"),
        (mixed(*["X: y"] * 1001), {}, REJECT),
        (mixed("Content-Disposition: attachment" + "; a=b" * 199 + "; filename=good.pdf"), {}, "dunno"),
        (mixed("Content-Disposition: attachment" + "; a=b" * 200 + "; filename=evil.exe"), {}, REJECT),
    ],
)
async def test_reject_attachment(message: bytes, options: dict, expected: str) -> None:
    assert short(await ask("reject_attachment", facts(message=message), context(), **options)) == expected


MANY_NAMES = "\r\n".join(
    "Content-Type: a/b" + "".join(f";name={field}x{name}" for name in range(190)) for field in range(10)
)


@pytest.mark.parametrize(
    ("message", "least"), [(mixed(*["Content-Type: a/b; name=c"] * 100), 100), (mixed(MANY_NAMES), 19)]
)
async def test_others_have_their_turn_while_names_are_compared(message: bytes, least: int) -> None:
    assert await turns_of_others(ask("reject_attachment", facts(message=message), context())) >= least


async def test_the_reply_says_what_and_no_more_than_fits() -> None:
    message = mixed(f"Content-Disposition: attachment; filename={'x' * 500}é.exe")
    verdict = await ask("reject_attachment", facts(message=message), context())
    assert verdict.reply.line().endswith("x?.exe are not accepted")
    assert len(verdict.reply.line()) < 250
    assert verdict.evidence["name"].isascii()


@pytest.mark.parametrize("size", [1000, 3_000_000])
async def test_a_message_in_memory_or_in_a_file(size: int) -> None:
    config = '[phases]\nrcpt = ["reject_unauth_destination"]\nend_of_data = ["reject_attachment"]\n'
    filler = b"x" * 70 + b"\r\n"
    good = mixed("Content-Disposition: attachment; filename=good.pdf").replace(b"content\r\n", filler * (size // 72))
    evil = good.replace(b"--b--", b"--b\r\nContent-Type: a/b; name=evil.exe\r\n\r\n--b--")
    with tempfile.TemporaryDirectory() as directory:
        async with serving(config, spool=Spool(directory)) as gate, gate.client() as client:
            await client.greet()
            replies = [(await client.deliver("a@example.net", ["b@example.org"], data))[-1] for data in (good, evil)]
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "550 5.7.1"]
