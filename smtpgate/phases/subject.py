"""What a refusal is about: "<NAME>: SUBJECT rejected: …" (Postfix, smtpd_check.c: reply_name, reply_class)."""

from collections.abc import Mapping
from enum import Enum

from smtpgate.phases.facts import Transaction
from smtpgate.phases.phase import Input, Phase

_LONGEST_NAME = 256


class Subject(Enum):
    """What is looked at, as Postfix calls it in replies."""

    CLIENT = "Client host"
    REVERSE_CLIENT = "Unverified Client host"
    HELO = "Helo command"
    SENDER = "Sender address"
    RECIPIENT = "Recipient address"
    CERTIFICATE = "Client certificate"
    LOGIN = "SASL login name"
    DATA = "Data command"
    END_OF_DATA = "End-of-data"


# What a rule speaks of that speaks of nothing in particular.
OF_LIST: Mapping[Phase, Subject] = {
    Phase.CLIENT: Subject.CLIENT,
    Phase.HELO: Subject.HELO,
    Phase.MAIL: Subject.SENDER,
    Phase.RCPT: Subject.RECIPIENT,
    Phase.DATA: Subject.DATA,
    Phase.END_OF_DATA: Subject.END_OF_DATA,
}
_KNOWN_FROM = {Subject.HELO: Input.HELO, Subject.SENDER: Input.SENDER, Subject.RECIPIENT: Input.RECIPIENT}


def known_from(subject: Subject) -> Input:
    """What must be known to speak of it."""
    return _KNOWN_FROM.get(subject, Input.CLIENT)


def rejected(name: str, subject: Subject, reason: str) -> str:
    """The text of a refusal."""
    return f"<{name[:_LONGEST_NAME]}>: {subject.value} rejected: {reason}"


def name_of(subject: Subject, tx: Transaction) -> str:
    """What a subject is called here. A client has the name that a trusted server told: none is looked up for it."""
    session = tx.session
    match subject:
        case Subject.HELO:
            return tx.helo
        case Subject.SENDER:
            return tx.sender.text
        case Subject.RECIPIENT:
            return tx.recipient.text
        case Subject.DATA:
            return "DATA"
        case Subject.END_OF_DATA:
            return "END-OF-MESSAGE"
        case Subject.CERTIFICATE if session.tls and session.tls.client_certificate:
            return session.tls.client_certificate.subject
        case Subject.LOGIN if session.login:
            return session.login
    return f"{session.client_name or ''}[{session.client_address}]"
