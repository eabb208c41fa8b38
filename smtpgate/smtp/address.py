"""Envelope addresses: a strict parser for RFC 5321 paths.

Nothing is decoded, unfolded or guessed: what does not match the grammar is refused, so that no address can smuggle a
line end, a blank or a second address to the downstream.
"""

import ipaddress
import re

import idna

from smtpgate.phases.facts import NULL_SENDER, Address
from smtpgate.values import is_host_name

# RFC 5321 §4.1.2; RFC 6531 §3.3 adds every non-ASCII character to atext, qtext and sub-domain. Those of Unicode's
# second block of controls, and the blank behind it, are in nobody's name.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\xa1-\U0010ffff-]+"
_QUOTED = r'"(?:[ !#-\[\]-~\xa1-\U0010ffff]|\\[ -~])*"'
_DOMAIN = r"[A-Za-z0-9_\xa1-\U0010ffff](?:[A-Za-z0-9_.\xa1-\U0010ffff-]*)"
_LITERAL = r"\[[0-9A-Za-z:.]{1,64}\]"
# RFC 5321 §4.1.1.3 and appendix C: a source route is accepted and ignored.
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
_PATH = re.compile(rf"<(?:{_ROUTE}(({_ATOM}(?:\.{_ATOM})*|{_QUOTED})@({_DOMAIN}|{_LITERAL}))|([A-Za-z]*))>")
# RFC 5321 §4.5.3.1 asks for at least 64 and 255 octets; real senders' VERP local parts are longer than 64.
_LONGEST_LOCAL = 255
_LONGEST_DOMAIN = 255
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class AddressError(ValueError):
    """Not a path as RFC 5321 writes it. The text says what is wrong, for the client."""


def parse_path(text: str) -> tuple[Address, str]:
    """Parse "<local@domain> …" and return the address and what follows it.

    The null path "<>" and the bare "<postmaster>" are returned too: the caller knows where they may stand.
    Raises AddressError.
    """
    match = _PATH.match(text)
    if match is None:
        raise AddressError("expected <user@domain>")
    rest = text[match.end() :]
    if rest and rest[0] != " ":
        raise AddressError("expected a blank behind >")
    mailbox, local, domain, bare = match.groups()
    if bare is not None:
        return _bare(bare), rest
    if len(local.encode()) > _LONGEST_LOCAL or len(domain.encode()) > _LONGEST_DOMAIN:
        raise AddressError("address too long")
    if local[0] == '"':
        local = _ESCAPE.sub(r"\1", local[1:-1])
    return Address(mailbox, local, _domain(domain)), rest


def _bare(word: str) -> Address:
    if not word:
        return NULL_SENDER
    # RFC 5321 §4.1.1.3: the one address that needs no domain, in any case.
    if word.lower() != "postmaster":
        raise AddressError("expected <user@domain>")
    return Address(word, word, "")


def _domain(domain: str) -> str:
    if domain[0] == "[":
        return _literal(domain)
    name = domain.lower()
    if not name.isascii():
        try:
            # RFC 6531 §3.2: internationalised labels are U-labels here, A-labels in the DNS.
            name = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise AddressError("not an internationalised domain name") from None
    # RFC 1123 §2.1: an address without its brackets is no name. Postfix: resolve_numeric_domain = no.
    if not is_host_name(name) or name.replace(".", "").isdigit():
        raise AddressError("not a domain name")
    return name


def _literal(domain: str) -> str:
    # RFC 5321 §4.1.3
    inside = domain[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError:
        raise AddressError("not an address literal") from None


def is_literal_or_name(text: str) -> bool:
    """Whether a HELO argument is a host name or an address literal (RFC 5321 §4.1.1.1)."""
    if not text.startswith("["):
        return is_host_name(text)
    try:
        return text.endswith("]") and bool(_literal(text))
    except AddressError:
        return False
