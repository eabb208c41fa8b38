"""docs/postfix.md names every restriction of Postfix, and says truly whether it is here."""

import itertools
import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.postfix import ALIASES, GONE, NOT_HERE

DOC = (Path(__file__).parents[2] / "docs" / "postfix.md").read_text()
ROWS = re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", DOC.split("## Every restriction")[1], re.MULTILINE)
NOT_CHECKS = {"warn_if_reject"}

# smtpd_check.c, without ETRN.
_ANY_PHASE = """
    check_policy_service defer defer_if_permit defer_if_reject permit reject reject_multi_recipient_bounce
    reject_plaintext_session reject_unauth_pipelining sleep warn_if_reject
"""
_CLIENT = """
    check_ccert_access check_sasl_access permit_dnswl_client permit_inet_interfaces permit_mynetworks
    permit_rhswl_client permit_sasl_authenticated permit_tls_all_clientcerts permit_tls_clientcerts reject_rbl_client
    reject_rhsbl_client reject_rhsbl_reverse_client reject_unknown_client_hostname
    reject_unknown_reverse_client_hostname
"""
_HELO = """
    reject_invalid_helo_hostname reject_non_fqdn_helo_hostname reject_rhsbl_helo reject_unknown_helo_hostname
"""
_SENDER = """
    reject_authenticated_sender_login_mismatch reject_known_sender_login_mismatch reject_non_fqdn_sender
    reject_rhsbl_sender reject_sender_login_mismatch reject_unauthenticated_sender_login_mismatch
    reject_unknown_sender_domain reject_unlisted_sender reject_unverified_sender
"""
_RECIPIENT = """
    defer_unauth_destination permit_auth_destination permit_mx_backup reject_non_fqdn_recipient reject_rhsbl_recipient
    reject_unauth_destination reject_unknown_recipient_domain reject_unlisted_recipient reject_unverified_recipient
"""
_SUBJECTS = ("client", "reverse_client_hostname", "helo", "sender", "recipient")
_TABLES = (f"check_{subject}{kind}_access" for subject, kind in itertools.product(_SUBJECTS, ("", "_a", "_mx", "_ns")))

RESTRICTIONS = frozenset((*"".join((_ANY_PHASE, _CLIENT, _HELO, _SENDER, _RECIPIENT)).split(), *_TABLES))


def test_every_restriction_stands_there_once() -> None:
    assert sorted(name for name, _ in ROWS) == sorted((*RESTRICTIONS, *ALIASES, *GONE, *NOT_HERE))


@pytest.mark.parametrize(("name", "here"), ROWS)
def test_what_is_said_of_it(name: str, here: str) -> None:
    assert re.match(r"(same|differs|not here)\b", here)
    is_here = ALIASES.get(name, name) in REGISTRY.keys() | NOT_CHECKS
    assert is_here is not here.startswith("not here")
    if name in ALIASES:
        assert here == f"same: another name of `{ALIASES[name]}`"
