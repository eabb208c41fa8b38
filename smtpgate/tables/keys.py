"""Which keys are looked up, and in which order: access(5)."""

from collections.abc import Iterator
from typing import NamedTuple

from smtpgate.values import is_address


class Key(NamedTuple):
    """A key. whole: all of what is asked about, not a parent domain or network of it."""

    text: str
    whole: bool = True


def domain_keys(name: str, *, dotted: bool) -> Iterator[Key]:
    """A name and its parent domains, up to the top level (Postfix: check_domain_access).

    dotted: parent domains are looked up as ".example.org", and not as "example.org" (Postfix:
    parent_domain_matches_subdomains without smtpd_access_maps).
    """
    if not name:
        return
    yield Key(name)
    if name.startswith("[") or is_address(name):
        return
    while (dot := name.find(".", 1)) >= 0:
        name = name[dot if dotted else dot + 1 :]
        if not name:
            return
        yield Key(name, False)


def address_keys(address: str) -> Iterator[Key]:
    """An IP address and the networks that it begins with (Postfix: check_addr_access)."""
    yield Key(address)
    delimiter = ":" if ":" in address else "."
    while delimiter in address:
        address = address.rpartition(delimiter)[0]
        if address:
            yield Key(address, False)


def mail_keys(text: str, domain: str, *, delimiters: str, dotted: bool) -> Iterator[Key]:
    """An address, without its extension, its domain and parent domains, its user part (Postfix: mail_addr_find).

    text: as the client wrote it. domain: as the DNS has it. delimiters: the characters that an extension may begin
    with (Postfix: recipient_delimiter).
    """
    local = text.rpartition("@")[0]
    bare = without_extension(local, delimiters)
    yield Key(f"{local}@{domain}")
    if bare != local:
        yield Key(f"{bare}@{domain}", False)
    for key in domain_keys(domain, dotted=dotted):
        yield Key(key.text, False)
    yield Key(f"{local}@", False)
    if bare != local:
        yield Key(f"{bare}@", False)


def without_extension(local: str, delimiters: str) -> str:
    """A local part without its extension (Postfix: split_addr).

    Those of bounces, double bounces and the postmaster have none, nor have owner-list and list-request with "-".
    """
    if local.lower() in ("mailer-daemon", "double-bounce", "postmaster"):
        return local
    if "-" in delimiters and (local.lower().startswith("owner-") or local.lower().endswith("-request")):
        return local
    cuts = [at for at in map(local.find, delimiters) if at > 0]
    return local[: min(cuts)] if cuts else local
