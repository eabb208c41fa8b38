"""The one table of all checks: what a configuration may name, and what the engine must know about it."""

from collections.abc import Mapping
from types import MappingProxyType

from smtpgate.checks import access, client, dkim, dnsbl, greylist, helo, pipelining, recipient, score, sender, spf, tls
from smtpgate.phases.phase import Input
from smtpgate.phases.rule import CheckSpec

_ROWS = (
    CheckSpec("permit", access.permit, Input.CLIENT, terminal=True),
    CheckSpec("reject", access.reject, Input.CLIENT, terminal=True, guard=True),
    CheckSpec("defer", access.defer, Input.CLIENT, terminal=True, guard=True),
    CheckSpec("permit_mynetworks", access.permit_mynetworks, Input.CLIENT),
    CheckSpec("reject_unauth_destination", access.reject_unauth_destination, Input.RECIPIENT, guard=True),
    CheckSpec("reject_rbl_client", dnsbl.reject_rbl_client, Input.CLIENT, dnsbl.RblOptions, lookup=True),
    CheckSpec("reject_unknown_client_hostname", client.reject_unknown_client_hostname, Input.CLIENT, lookup=True),
    CheckSpec(
        "reject_unknown_reverse_client_hostname",
        client.reject_unknown_reverse_client_hostname,
        Input.CLIENT,
        lookup=True,
    ),
    CheckSpec("reject_plaintext_session", tls.reject_plaintext_session, Input.CLIENT, memo=False),
    CheckSpec("reject_invalid_helo_hostname", helo.reject_invalid_helo_hostname, Input.HELO),
    CheckSpec("reject_non_fqdn_helo_hostname", helo.reject_non_fqdn_helo_hostname, Input.HELO),
    CheckSpec("reject_non_fqdn_sender", sender.reject_non_fqdn_sender, Input.SENDER),
    CheckSpec("reject_unknown_sender_domain", sender.reject_unknown_sender_domain, Input.SENDER, lookup=True),
    CheckSpec("reject_non_fqdn_recipient", recipient.reject_non_fqdn_recipient, Input.RECIPIENT),
    CheckSpec("reject_unauth_pipelining", pipelining.reject_unauth_pipelining, Input.CLIENT, memo=False),
    CheckSpec("greylist", greylist.greylist, Input.RECIPIENT, greylist.GreylistOptions, effects=True, on_error="skip"),
    CheckSpec("check_spf", spf.check_spf, Input.SENDER, spf.SpfOptions, lookup=True),
    CheckSpec("score", score.score, Input.CLIENT, score.ScoreOptions, lookup=True, on_error="skip", score="gives"),
    CheckSpec("check_score", score.check_score, Input.CLIENT, score.CheckScoreOptions, memo=False, score="asks"),
    CheckSpec("check_dkim", dkim.check_dkim, Input.MESSAGE, dkim.DkimOptions, lookup=True),
)
REGISTRY: Mapping[str, CheckSpec] = MappingProxyType({row.name: row for row in _ROWS})
