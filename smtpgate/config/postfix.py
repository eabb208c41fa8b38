"""Postfix's words that are others here: names of restrictions, parameters of main.cf, and how lists are written.

Whoever moves from Postfix writes them first, and is told what to write instead.
"""

from collections.abc import Container, Mapping, Sequence

from smtpgate.config.errors import nearest

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
# Parameters of main.cf (postconf(5)), and where what they say is said here.
PARAMETERS: Mapping[str, str] = {
    "myhostname": "hostname in [server]",
    "mydestination": "relay_domains in [server]",
    "virtual_alias_domains": "relay_domains in [server]",
    "virtual_mailbox_domains": "relay_domains in [server]",
    "relay_recipient_maps": "recipients in [server]",
    "local_recipient_maps": "recipients in [server]",
    "virtual_mailbox_maps": "recipients in [server]",
    "relayhost": "url in [relay]",
    "smtpd_delay_reject": "delay_reject in [server]",
    "smtpd_forbid_bare_newline": "bare_newline in [server]",
    "smtpd_authorized_xclient_hosts": "xclient_peers in [server]",
    "smtpd_authorized_xforward_hosts": "xforward_peers in [server]",
    "smtpd_upstream_proxy_protocol": "proxy_protocol in [[listener]]",
    "smtpd_tls_security_level": "tls in [[listener]]",
    "smtpd_tls_ask_ccert": "client_certificates in [[listener]]",
    "smtpd_tls_req_ccert": "client_certificates in [[listener]]",
    "smtpd_tls_cert_file": "certificate in [tls]",
    "smtpd_tls_chain_files": "certificate in [tls]",
    "smtpd_tls_key_file": "key in [tls]",
    "smtpd_tls_protocols": "minimum in [tls]",
    "smtpd_tls_mandatory_protocols": "minimum in [tls]",
    "smtpd_tls_CAfile": "client_ca in [tls]",
    "message_size_limit": "message_size in [limits]",
    "smtpd_recipient_limit": "recipients in [limits]",
    "smtpd_timeout": "command_timeout in [limits]",
    "smtpd_soft_error_limit": "soft_error_limit in [limits]",
    "smtpd_hard_error_limit": "hard_error_limit in [limits]",
    "smtpd_error_sleep_time": "error_delay in [limits]",
    "smtpd_junk_command_limit": "junk_command_limit in [limits]",
    "postscreen_greet_wait": "greet_pause in [limits]",
    "smtpd_client_connection_count_limit": "client_connections in [limits]",
    "smtpd_client_connection_rate_limit": "client_connection_rate in [limits]",
    "smtpd_client_message_rate_limit": "client_message_rate in [limits]",
    "smtpd_client_recipient_rate_limit": "client_recipient_rate in [limits]",
    "smtpd_client_restrictions": "client in [phases]",
    "smtpd_helo_restrictions": "helo in [phases]",
    "smtpd_sender_restrictions": "mail in [phases]",
    "smtpd_relay_restrictions": "rcpt in [phases]",
    "smtpd_recipient_restrictions": "rcpt in [phases]",
    "smtpd_data_restrictions": "data in [phases]",
    "smtpd_end_of_data_restrictions": "end_of_data in [phases]",
}


def right_name(word: str, words: Sequence[str]) -> str:
    """The sentence that says what to write in place of a wrong name; "" if nobody knows. words: the right ones."""
    if word in PARAMETERS:
        return f"here it is {PARAMETERS[word]}"
    return nearest(word, words)


def in_one_string(words: Sequence[str], rules: Container[str]) -> str:
    """What to do if a string holds what stands in one line of main.cf, several rules or options; "" if it does not.

    words: of the string. rules: names that rules have.
    """
    if "{" in words[1:]:
        return f'options stand beside the rule: {{ rule = "{words[0]} …", name = "value" }}'
    several = len(words) > 1 and (words[0].endswith(",") or any(word.strip(",") in rules for word in words[1:]))
    return f'each rule is a string of its own: "{words[0].strip(",")}", …' if several else ""
