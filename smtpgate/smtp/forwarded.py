"""What a trusted server says about the client that it speaks for: the attributes of XCLIENT and XFORWARD.

Postfix's XCLIENT_README and XFORWARD_README are their specification. Values are xtext (RFC 3461 §4).
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from smtpgate.phases.facts import Session, Via
from smtpgate.phases.reply import Reply
from smtpgate.smtp.command import CommandError
from smtpgate.values import IPAddress, is_host_name, unmapped

XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
XFORWARD_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")

NOT_AUTHORIZED = Reply(550, "7.0", "Error: insufficient authorization")
IN_TRANSACTION = Reply(503, "5.1", "Error: MAIL transaction in progress")

_LONGEST_VALUE = 255
# "=" may stand as it is: not everybody encodes it.
_XTEXT = re.compile(r"(?:[!-*,-~]|\+[0-9A-Fa-f]{2})+\Z")
_HEXCHAR = re.compile(r"\+([0-9A-Fa-f]{2})")
_PRINTABLE = re.compile(r"[!-~]+\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class XClient:
    """What XCLIENT says; None is what it does not say. port: 0 if it is not known. name: "" if there is none.

    login: "" if the client did not log in.
    """

    name: str | None = None
    address: IPAddress | None = None
    port: int | None = None
    esmtp: bool | None = None
    helo: str | None = None
    login: str | None = None


def parse_xclient(argument: str) -> XClient:
    """Raises CommandError. What XCLIENT says of our own end of the connection is checked, and left out."""
    given = _attributes(argument, XCLIENT_ATTRIBUTES)
    name, address, login = given.get("NAME"), given.get("ADDR"), given.get("LOGIN")
    if name and not is_host_name(name):
        raise _bad("NAME")
    if address is not None and _address("ADDR", address) is None:
        # Whose address should the rules look at? Not that of the server that everybody trusts.
        raise _bad("ADDR")
    _address("DESTADDR", given.get("DESTADDR"))
    _port("DESTPORT", given.get("DESTPORT"))
    proto = given.get("PROTO")
    if proto is not None and proto.upper() not in ("SMTP", "ESMTP"):
        raise _bad("PROTO")
    return XClient(
        name=name,
        address=_address("ADDR", address),
        port=_port("PORT", given.get("PORT")),
        esmtp=None if proto is None else proto.upper() == "ESMTP",
        helo=given.get("HELO") or None,
        login=login,
    )


def spoken_for(session: Session, told: XClient) -> Session:
    """The session as it begins anew after XCLIENT. What XCLIENT does not say stays; HELO does not."""
    if session.via and session.via[-1].by == "XCLIENT":
        earlier, hop = session.via[:-1], session.via[-1]
    else:
        earlier, hop = session.via, Via("XCLIENT", session.client_address, session.client_port)
    hop = replace(
        hop,
        name=hop.name if told.name is None else told.name,
        login=hop.login if told.login is None else told.login,
    )
    return Session(
        told.address or session.client_address,
        session.client_port if told.port is None else told.port,
        session.listener,
        helo=told.helo,
        esmtp=session.esmtp if told.esmtp is None else told.esmtp,
        # The certificate is the other server's, and must not open doors to its clients.
        tls=session.tls and replace(session.tls, client_certificate=None),
        via=(*earlier, hop),
    )


def client_attributes(session: Session, ident: str) -> Mapping[str, str]:
    """What XFORWARD would say of a session's client. ident: the record's reference."""
    return {
        "NAME": session.client_name or "",
        "ADDR": session.client if session.client_address.version == 4 else f"IPV6:{session.client}",
        "PORT": str(session.client_port or ""),
        "PROTO": "ESMTP" if session.esmtp else "SMTP",
        "HELO": session.helo or "",
        "IDENT": ident,
        "SOURCE": "REMOTE",
    }


def parse_xforward(argument: str) -> Mapping[str, str]:
    """The attributes as given, "" for what is not available. Raises CommandError."""
    return _attributes(argument, XFORWARD_ATTRIBUTES)


def _attributes(argument: str, known: tuple[str, ...]) -> dict[str, str]:
    """Names in upper case, values decoded, "" for what is not available."""
    found: dict[str, str] = {}
    for word in argument.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        if not equals or name not in known:
            raise CommandError(Reply(501, "5.4", f"Bad attribute: {name[:40]}"))
        found[name] = _value(name, value)
    if not found:
        raise CommandError(Reply(501, "5.4", "Syntax: attribute=value..."))
    return found


def _value(name: str, value: str) -> str:
    if value.upper() in ("[UNAVAILABLE]", "[TEMPUNAVAIL]"):
        return ""
    if not _XTEXT.match(value):
        raise _bad(name)
    text = _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), value)
    # It goes into records, logs and, on its way on, into a command again.
    if len(text) > _LONGEST_VALUE or not _PRINTABLE.match(text):
        raise _bad(name)
    return text


def _address(name: str, value: str | None) -> IPAddress | None:
    if not value:
        return None
    is_ipv6 = value[:5].upper() == "IPV6:"
    try:
        if is_ipv6:
            return unmapped(ipaddress.IPv6Address(value[5:].partition("%")[0]))
        return ipaddress.IPv4Address(value)
    except ValueError:
        raise _bad(name) from None


def _port(name: str, value: str | None) -> int | None:
    if not value:
        return None if value is None else 0
    if not _PORT.match(value) or int(value) > 65535:
        raise _bad(name)
    return int(value)


def _bad(name: str) -> CommandError:
    return CommandError(Reply(501, "5.4", f"Bad {name} value"))
