"""Names of Postfix's restrictions that no check has: those of old, and those that cannot be here."""

from collections.abc import Mapping

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
