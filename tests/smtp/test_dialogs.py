"""Plays the transcripts in tests/dialogs/ against a real listener.

A transcript begins with TOML between two lines of "+++" (the rules; [dns] for the zone; [downstream.recipient],
[downstream.deliver] for what the downstream answers, [downstream] extensions for what it offers;
[expect] what it got: messages = how many, recipients and content (lines that stand in it, or with "!" do not) of the
only one; held = how many are in the quarantine, outcome, decided_by = of the last record). Then:

  C: a command; several in a row go out in one piece
  C! bytes as they are, with \\r \\n \\0 \\xNN, without a line end
  S: what the server answers, line by line; * stands for anything, REF for a reference
  S+ the last line of a reply of several, whatever the others say
  S| the server closes
  TLS the client shakes hands, and trusts the server's certificate

Each is played in plaintext and in TLS, on asyncio's event loop and on the server's own. [listener] tls = "starttls" or
"implicit" (TLS is there before the transcript begins) is for those that are about TLS: they are played as they stand.
proxies = [networks] in it makes the listener wait for the PROXY protocol.

And each is played once more byte by byte, and cut at random places: the server reads one piece before the next is sent.
"""

import codecs
import re
import socket
import ssl
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpgate.quarantine import Quarantine
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.server.tls import ServerTls
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.tls import TlsMode
from tests.certificates import Certificate
from tests.fakes import FakeDns, FakeDownstream
from tests.harness import PLAIN, Client, serving
from tests.loops import on_both_loops
from tests.smtp.cutting import CUTS, CountingDialog, Cut, CuttingClient

DIALOGS = sorted((Path(__file__).parent.parent / "dialogs").glob("*.txt"))
_ESCAPED = {"*": ".*", "REF": "[0-9A-HJKMNP-TV-Z]{8}"}


def test_there_are_dialogs() -> None:
    assert len(DIALOGS) > 15


def cases() -> Iterator[Any]:
    """Every transcript in every way in which it makes sense."""
    for path in DIALOGS:
        _, head, script = path.read_text().split("+++\n", 2)
        ways = ["none", "starttls", "implicit"]
        if "listener" in (setup := tomllib.loads(head)):
            ways = [setup["listener"]["tls"]]
        elif not script.startswith("S"):  # an early talker cannot have shaken hands
            ways = ["none"]
        elif not script.startswith("S: 220"):  # refused at the banner
            ways = ["none", "implicit"]
        for tls in ways:
            yield pytest.param(path, tls, id=f"{path.stem}-{tls}")


# They are about what is sent ahead in one piece.
AHEAD = {"early-talker", "unauth-pipelining", "starttls-injection"}


def cut_cases() -> Iterator[Any]:
    """In plaintext and in TLS."""
    for case in cases():
        path, tls = case.values
        if path.stem not in AHEAD and (tls != "starttls" or "starttls" in path.stem):
            yield pytest.param(path, tls, id=f"{path.stem}-{tls}")


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("path", "tls"), list(cut_cases()))
async def test_dialog_in_pieces(path: Path, tls: TlsMode, cut: str, certificate: Certificate, tmp_path: Path) -> None:
    await _dialog(path, tls, certificate, tmp_path, CUTS[cut])


@pytest.mark.parametrize(("path", "tls"), list(cases()))
@on_both_loops
async def test_dialog(path: Path, tls: TlsMode, certificate: Certificate, tmp_path: Path) -> None:
    await _dialog(path, tls, certificate, tmp_path)


async def _dialog(path: Path, tls: TlsMode, certificate: Certificate, directory: Path, cut: Cut | None = None) -> None:
    _, head, script = path.read_text().split("+++\n", 2)
    setup = tomllib.loads(head)
    listener = setup.pop("listener", {})
    context = certificate.client_context()
    downstream = _downstream(setup.pop("downstream", {}))
    limits = DialogLimits(**setup.pop("limits", {}))
    lines = LinePolicy(**setup.pop("lines", {}))
    dns = FakeDns(**setup.pop("dns", {}))
    expected = setup.pop("expect", {})
    config = head[: head.index("[phases]")] + _phases(head) if "phases" in setup else head.split("[")[0] + PLAIN
    server_tls = ServerTls(certificate.settings()) if tls != "none" else None
    quarantine = Quarantine(str(directory / "held"))
    async with serving(
        config,
        dns=dns,
        downstream=downstream,
        limits=limits,
        lines=lines,
        tls=tls,
        server_tls=server_tls,
        proxies=listener.get("proxies", []),
        quarantine=quarantine,
        dialog=CountingDialog,
    ) as gate:
        steps = script.splitlines()
        early = _bytes(steps.pop(0)) if not steps[0].startswith("S") else b""
        client = await _connect(gate.port, early, context if tls == "implicit" else None)
        if cut is not None:
            client = CuttingClient(client, gate.services.connections, cut)
        try:
            if tls == "starttls" and not listener:
                await _play([steps.pop(0), "C: STARTTLS", "S: 220 2.0.0 *", "TLS"], client, context)
            await _play(steps, client, context)
        finally:
            await client.close()
        records = await gate.settled()
        assert not gate.services.connections
    found = {
        "messages": len(downstream.messages),
        "recipients": [list(message.recipients) for message in downstream.messages],
        "held": len(quarantine.names()),
        "outcome": records[-1].outcome if records else "",
        "decided_by": records[-1].decided_by if records else None,
    }
    lines = [line.decode() for message in downstream.messages for line in message.content.split(b"\r\n")]
    for line in expected.pop("content", []):
        assert (line.removeprefix("!") in lines) is not line.startswith("!"), line
    assert {key: found[key] for key in expected} == expected


async def _connect(port: int, early: bytes, tls: ssl.SSLContext | None) -> Client:
    """A client whose first bytes are in the server's socket before the server knows of the connection."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(early)
    return await Client.over(sock, tls)


async def _play(steps: list[str], client: Client, tls: ssl.SSLContext) -> None:
    pending = b""
    for number, step in enumerate(steps, 1):
        if step.startswith("C"):
            pending += _bytes(step)
            continue
        if step == "TLS":
            await client.shake_hands(tls)
            continue
        if pending:
            await client.send(pending)
            pending = b""
        line = await client.line()
        while step.startswith("S+") and line[3:4] == "-":
            line = await client.line()
        where = f"line {number}: {step!r}, got {line!r}"
        if step == "S|":
            assert line == "", where
        else:
            assert re.fullmatch(_pattern(step[3:]), line.removesuffix("\r\n")), where


def _bytes(step: str) -> bytes:
    if step.startswith("C!"):
        return codecs.escape_decode(step[2:].strip(" ").encode())[0]  # type: ignore[attr-defined,no-any-return]
    return step[3:].encode() + b"\r\n"


def _pattern(text: str) -> str:
    return "".join(_ESCAPED.get(part, re.escape(part)) for part in re.split(r"(\*|REF)", text))


def _phases(head: str) -> str:
    """The [phases] section, and each [[policy]] behind it: the others are the transcript's own."""
    return re.split(r"^\[(?!phases|\[policy)", head[head.index("[phases]") :], maxsplit=1, flags=re.MULTILINE)[0]


def _downstream(setup: dict[str, Any]) -> FakeDownstream:
    recipients = {address: _answer(text) for address, text in setup.get("recipient", {}).items()}
    deliver = [_answer(setup["deliver"]["reply"])] if "deliver" in setup else None
    return FakeDownstream(
        recipient=recipients,
        deliver=deliver,
        extensions=setup.get("extensions"),
        requiretls=setup.get("requiretls", False),
    )


def _answer(text: str) -> Any:
    if text == "unavailable":
        return DownstreamUnavailable("connection refused")
    code, enhanced, words = text.split(" ", 2)
    return RelayReply(int(code), enhanced, words)
