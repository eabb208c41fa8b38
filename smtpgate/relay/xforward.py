"""Telling the downstream who the client is: XFORWARD for its logs, XCLIENT for its rules.

Postfix's XFORWARD_README and XCLIENT_README are their specification.
"""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache

from smtpgate.relay.connection import Connection, ConnectionGone
from smtpgate.relay.downstream import Envelope, RelayReply
from smtpgate.relay.greeting import take_offer

log = logging.getLogger(__name__)

_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
# XCLIENT's other attributes are for EHLO to say.
_XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT")
_UNAVAILABLE = "[UNAVAILABLE]"
_LONGEST_COMMAND = 512
_LONGEST_VALUE = 255
# What must not stand in a header field, blanks, <>()\";@ and all that is not ASCII; Postfix replaces it too.
_SPECIAL = re.compile(r"[^!#-'*-:=?A-\[\]-~]")
# Values that are nothing of all that, and fit into one command.
_HARMLESS = re.compile(r"[!#-'*,-:?A-\[\]-~]{0,255}\Z")
# RFC 3461 §4: what xtext encodes. A name full of them is nobody's, and would not fit into a command.
_ENCODED = re.compile(r"[+=]")
_LONGEST_ENCODED = 480
_REPLACED = str.maketrans("+=", "??")


class Forwarding:
    """What one downstream is told. hostname: what we say in EHLO. xforward, xclient: whether, if it offers them."""

    def __init__(self, hostname: str, *, xforward: bool = True, xclient: bool = False) -> None:
        self._hostname = hostname
        self._xforward = xforward
        self._xclient = xclient
        self._refusal_is_told = False

    def xforward(self, envelope: Envelope, connection: Connection) -> list[bytes]:
        """The commands to send before MAIL, each to be answered. None where XCLIENT says it better."""
        facts = envelope.forwarded or envelope.client
        offered = connection.extensions.get("XFORWARD")
        if not self._xforward or not facts or offered is None or connection.speaks_for is not None:
            return []
        return _commands("XFORWARD", facts, _offered(_ATTRIBUTES, offered))

    def answered(self, reply: RelayReply, connection: Connection) -> None:
        """The answer to XFORWARD. A refusal costs nothing but the log's truth: mail goes on without it."""
        if reply.is_positive:
            return
        # Each refusal would count as a mistake of ours.
        connection.extensions = {word: text for word, text in connection.extensions.items() if word != "XFORWARD"}
        if not self._refusal_is_told:
            self._refusal_is_told = True
            log.warning("the downstream offers XFORWARD and refuses it: %s", reply)

    async def introduce(self, envelope: Envelope, connection: Connection, *, lmtp: bool) -> RelayReply | None:
        """Make the connection speak for the client, if that is wanted and offered; a reply is a refusal of the client.

        Raises DownstreamUnavailable.
        """
        offered = connection.extensions.get("XCLIENT")
        if not self._xclient or not envelope.client or offered is None or "ADDR" not in offered.upper().split():
            return None
        commands = _commands("XCLIENT", envelope.client, _offered(_XCLIENT_ATTRIBUTES, offered))
        hello = b"%s %s\r\n" % (b"LHLO" if lmtp else b"EHLO", (envelope.client["HELO"] or self._hostname).encode())
        if connection.speaks_for == (commands, hello):
            return None
        for command in commands:
            reply = await connection.command(command)
            if reply.code != 220:
                return _refused(reply, connection)
        connection.send(hello)
        offer = await connection.wire_reply()
        if offer.code != 250:
            return _refused(offer.joined, connection)
        take_offer(offer, connection)
        # Postfix does not offer it to the client that it now takes us for, but takes it from us all the same.
        connection.extensions = {"XCLIENT": offered, **connection.extensions}
        connection.speaks_for = (commands, hello)
        return None


def _refused(reply: RelayReply, connection: Connection) -> RelayReply:
    """The client is not let in, so that nothing more can be done on this connection; or it is we who may not ask."""
    is_ours = reply.code in (500, 501, 502, 503) or (reply.code, reply.enhanced) == (550, "5.7.0")
    if reply.code >= 400 and reply.code != 421 and not is_ours:
        connection.quit()
        return reply
    # A fresh connection is tried, if this one was used before: it may not be allowed to change its client.
    reason = ConnectionGone(f"downstream answers XCLIENT with {reply}")
    connection.fail(reason)
    raise reason


@lru_cache(maxsize=16)  # a server offers the same on each connection
def _offered(known: tuple[str, ...], offered: str) -> tuple[tuple[str, ...], str]:
    """Which of the attributes it knows, and what is said of them, values left out."""
    words = offered.upper().split()
    names = tuple(name for name in known if name in words)
    return names, "".join(f" {name}=%s" for name in names)


def _commands(verb: str, facts: Mapping[str, str], offered: tuple[tuple[str, ...], str]) -> list[bytes]:
    """As few commands as the attributes fit in."""
    names, said = offered
    if not names:
        return []
    values = [facts.get(name) or _UNAVAILABLE for name in names]
    if _HARMLESS.match("".join(values)):
        return [f"{verb}{said % tuple(values)}\r\n".encode()]
    lines = [verb]
    for name, value in zip(names, values, strict=True):
        attribute = f" {name}={_xtext(value)}"
        if len(lines[-1]) + len(attribute) > _LONGEST_COMMAND - len("\r\n"):
            lines.append(verb)
        lines[-1] += attribute
    return [line.encode() + b"\r\n" for line in lines]


def _xtext(value: str) -> str:
    harmless = _SPECIAL.sub("?", value)[:_LONGEST_VALUE]
    encoded = _ENCODED.sub(lambda match: f"+{ord(match[0]):02X}", harmless)
    return encoded if len(encoded) <= _LONGEST_ENCODED else harmless.translate(_REPLACED)
