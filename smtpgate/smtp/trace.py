"""The Received field (RFC 5321 §4.4): where the message came from and how."""

import re
from email.utils import formatdate
from functools import lru_cache

from smtpgate.phases.facts import Address, ClientCertificate, Session
from smtpgate.smtp.address import is_literal_or_name

# Postfix: hopcount_limit. A message that passed more servers is going round in circles (RFC 5321 §6.3).
MOST_HOPS = 50
# What stands between two messages in an mbox file; some send it.
_MBOX_LINES = re.compile(rb"(?:>*+From [^\n]*+\n)+", re.IGNORECASE)
# What may not stand in a comment (RFC 5322 §3.2.2), or would end the quotes in it.
_UNSAFE = re.compile(r'[^ -~]|[()\\"]')


def received_field(
    session: Session, recipients: list[Address], *, hostname: str, ref: str, smtputf8: bool, now: float
) -> bytes:
    """The Received field for a message.

    ref: the record's reference, so that a message leads to its record. now: seconds since 1970.
    """
    helo = session.helo or ""
    address = _literal(session)
    # What the client called itself goes out only if it is a name or a literal: nothing else may stand there.
    name = helo if is_literal_or_name(helo) else "unknown"
    # RFC 6531 §3.7.3, RFC 3848: there is no name for SMTP without EHLO in TLS.
    protocol = "UTF8SMTP" if smtputf8 else "ESMTP" if session.esmtp else "SMTP"
    tls, comment = session.tls, ""
    if tls is not None:
        protocol += "S" if session.esmtp else ""
        comment = f"\r\n\t(version={tls.version} cipher={tls.cipher} bits={tls.bits})"
        if tls.client_certificate is not None:
            comment += f"\r\n\t{_shown(tls.client_certificate)}"
    # RFC 5321 §7.6: naming one of several recipients would give the others' secret away.
    only = f"\r\n\tfor <{recipients[0]}>" if len(recipients) == 1 else ""
    return (
        f"Received: from {name} ({address})\r\n\tby {hostname} (smtpgate) with {protocol} id {ref}{comment}{only};"
        f"\r\n\t{_date(int(now))}\r\n"
    ).encode()


def below(head: bytes) -> bytes:
    """A message's head as it can stand below our fields (Postfix's smtpd does the same).

    A line of an mbox file would end the header section there; a first line that begins with a blank would go on with
    the last of our fields.
    """
    fields = b""
    if lines := _MBOX_LINES.match(head):
        fields = b"".join(b"X-Mailbox-Line: " + line for line in lines[0].splitlines(keepends=True))
        head = head[lines.end() :]
    return fields + (b"\r\n" + head if head.startswith((b" ", b"\t")) else head)


def _shown(certificate: ClientCertificate) -> str:
    """A client's certificate as a comment, in Postfix's words."""
    subject, issuer = (_UNSAFE.sub("?", name) for name in (certificate.subject, certificate.issuer))
    verified = "verified OK" if certificate.verified else "not verified"
    return f'(Client CN "{subject}", Issuer "{issuer}" ({verified}))'


def _literal(session: Session) -> str:
    """The client as an address literal (RFC 5321 §4.1.3)."""
    return f"[{session.client}]" if session.client_address.version == 4 else f"[IPv6:{session.client}]"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    # Formatting costs more than the rest of the field: once a second is enough.
    return formatdate(second, localtime=True)
