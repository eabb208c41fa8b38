"""The names of Postfix's restrictions: those of old, and those that we do not have, told from typing errors."""

import itertools
from collections.abc import Mapping

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

# What Postfix still understands (smtpd_check.c, mail_params.h), by the names in its documentation.
ALIASES: Mapping[str, str] = {
    "check_recipient_maps": "reject_unlisted_recipient",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_rbl": "reject_rbl_client",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
}
# What cannot be here, and why.
NOT_HERE: Mapping[str, str] = {"check_etrn_access": "ETRN asks a server for what it keeps, and smtpgate keeps nothing"}
# What it refuses itself since version 3.9, and what to write instead.
GONE: Mapping[str, str] = {
    "check_relay_domains": '"reject_unauth_destination"',
    "permit_naked_ip_address": '"permit_mynetworks" or "permit_sasl_authenticated"',
    "reject_maps_rbl": '"reject_rbl_client" and a list, such as "reject_rbl_client zen.spamhaus.org=127.0.0.[2..11]"',
}
