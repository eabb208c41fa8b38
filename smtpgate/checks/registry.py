"""The one table of all checks: what a configuration may name, and what the engine must know about it."""

from collections.abc import Mapping
from types import MappingProxyType

from smtpgate.checks import (
    access,
    access_tables,
    attachments,
    client,
    dkim,
    dnsbl,
    greylist,
    header_checks,
    helo,
    login,
    mx_backup,
    pipelining,
    policy,
    recipient,
    rhsbl,
    score,
    sender,
    spf,
    tls,
    verification,
    waiting,
)
from smtpgate.phases.phase import Input
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.rule import CheckSpec
from smtpgate.phases.subject import Subject

# What check_*_{a,mx,ns}_access look up servers of.
_SUBJECTS = {
    "client": (Input.CLIENT, Subject.CLIENT),
    "reverse_client_hostname": (Input.CLIENT, Subject.REVERSE_CLIENT),
    "helo": (Input.HELO, Subject.HELO),
    "sender": (Input.SENDER, Subject.SENDER),
    "recipient": (Input.RECIPIENT, Subject.RECIPIENT),
}
_ROWS = (
    CheckSpec("permit", access.permit, Input.CLIENT, terminal=True),
    CheckSpec("reject", access.reject, Input.CLIENT, subject="list", terminal=True, guard=True),
    CheckSpec("defer", access.defer, Input.CLIENT, subject="list", terminal=True, guard=True),
    CheckSpec("defer_if_permit", access.defer_if_permit, Input.CLIENT, subject="list", guard=True),
    CheckSpec("defer_if_reject", access.defer_if_reject, Input.CLIENT, subject="list"),
    CheckSpec("sleep", waiting.sleep, Input.CLIENT, waiting.SleepOptions, effects=True, memo=False),
    CheckSpec("permit_inet_interfaces", access.permit_inet_interfaces, Input.CLIENT),
    CheckSpec("permit_mynetworks", access.permit_mynetworks, Input.CLIENT),
    CheckSpec("permit_auth_destination", access.permit_auth_destination, Input.RECIPIENT),
    CheckSpec("defer_unauth_destination", access.defer_unauth_destination, Input.RECIPIENT, guard=True),
    CheckSpec("reject_unauth_destination", access.reject_unauth_destination, Input.RECIPIENT, guard=True),
    CheckSpec("reject_rbl_client", dnsbl.reject_rbl_client, Input.CLIENT, dnsbl.RblOptions, lookup=True),
    CheckSpec(
        "permit_dnswl_client", dnsbl.permit_dnswl_client, Input.CLIENT, dnsbl.RblOptions, lookup=True, ours_only=True
    ),
    CheckSpec("reject_rhsbl_client", rhsbl.reject_rhsbl_client, Input.CLIENT, rhsbl.RhsblOptions, lookup=True),
    CheckSpec(
        "reject_rhsbl_reverse_client", rhsbl.reject_rhsbl_reverse_client, Input.CLIENT, rhsbl.RhsblOptions, lookup=True
    ),
    CheckSpec(
        "permit_rhswl_client", rhsbl.permit_rhswl_client, Input.CLIENT, rhsbl.RhsblOptions, lookup=True, ours_only=True
    ),
    CheckSpec(
        "reject_unknown_client_hostname", client.reject_unknown_client_hostname, Input.CLIENT, RejectCode, lookup=True
    ),
    CheckSpec(
        "reject_unknown_reverse_client_hostname",
        client.reject_unknown_reverse_client_hostname,
        Input.CLIENT,
        RejectCode,
        lookup=True,
    ),
    CheckSpec("permit_tls_all_clientcerts", tls.permit_tls_all_clientcerts, Input.CLIENT, memo=False),
    CheckSpec("permit_tls_clientcerts", tls.permit_tls_clientcerts, Input.CLIENT, tls.CertificateOptions, memo=False),
    CheckSpec("reject_plaintext_session", tls.reject_plaintext_session, Input.CLIENT, RejectCode, memo=False),
    CheckSpec("reject_invalid_helo_hostname", helo.reject_invalid_helo_hostname, Input.HELO),
    CheckSpec("reject_non_fqdn_helo_hostname", helo.reject_non_fqdn_helo_hostname, Input.HELO),
    CheckSpec("reject_unknown_helo_hostname", helo.reject_unknown_helo_hostname, Input.HELO, RejectCode, lookup=True),
    CheckSpec("reject_rhsbl_helo", rhsbl.reject_rhsbl_helo, Input.HELO, rhsbl.RhsblOptions, lookup=True),
    CheckSpec("permit_sasl_authenticated", login.permit_sasl_authenticated, Input.CLIENT, memo=False),
    CheckSpec("reject_sender_login_mismatch", login.reject_sender_login_mismatch, Input.SENDER, login.LoginOptions),
    CheckSpec(
        "reject_authenticated_sender_login_mismatch",
        login.reject_authenticated_sender_login_mismatch,
        Input.SENDER,
        login.LoginOptions,
    ),
    CheckSpec(
        "reject_unauthenticated_sender_login_mismatch",
        login.reject_unauthenticated_sender_login_mismatch,
        Input.SENDER,
        login.LoginOptions,
    ),
    CheckSpec(
        "reject_known_sender_login_mismatch",
        login.reject_known_sender_login_mismatch,
        Input.SENDER,
        login.LoginOptions,
    ),
    CheckSpec("reject_non_fqdn_sender", sender.reject_non_fqdn_sender, Input.SENDER),
    CheckSpec(
        "reject_unknown_sender_domain", sender.reject_unknown_sender_domain, Input.SENDER, RejectCode, lookup=True
    ),
    CheckSpec("reject_rhsbl_sender", rhsbl.reject_rhsbl_sender, Input.SENDER, rhsbl.RhsblOptions, lookup=True),
    CheckSpec("reject_unlisted_sender", sender.reject_unlisted_sender, Input.SENDER),
    CheckSpec(
        "reject_multi_recipient_bounce",
        recipient.reject_multi_recipient_bounce,
        Input.SENDER,
        memo=False,
        subject="list",
    ),
    CheckSpec("reject_non_fqdn_recipient", recipient.reject_non_fqdn_recipient, Input.RECIPIENT),
    CheckSpec(
        "reject_unknown_recipient_domain",
        recipient.reject_unknown_recipient_domain,
        Input.RECIPIENT,
        RejectCode,
        lookup=True,
    ),
    CheckSpec("reject_rhsbl_recipient", rhsbl.reject_rhsbl_recipient, Input.RECIPIENT, rhsbl.RhsblOptions, lookup=True),
    CheckSpec("permit_mx_backup", mx_backup.permit_mx_backup, Input.RECIPIENT, mx_backup.MxBackupOptions, lookup=True),
    CheckSpec("reject_unlisted_recipient", recipient.reject_unlisted_recipient, Input.RECIPIENT),
    CheckSpec(
        "reject_unauth_pipelining", pipelining.reject_unauth_pipelining, Input.CLIENT, memo=False, subject="list"
    ),
    CheckSpec("greylist", greylist.greylist, Input.RECIPIENT, greylist.GreylistOptions, effects=True, on_error="skip"),
    CheckSpec(
        "check_policy_service",
        policy.check_policy_service,
        Input.CLIENT,
        policy.PolicyOptions,
        effects=True,
        follows_list=True,
        own_deadline=True,
        subject="list",
    ),
    CheckSpec(
        "reject_unverified_sender",
        verification.reject_unverified_sender,
        Input.SENDER,
        verification.VerificationOptions,
        effects=True,
    ),
    CheckSpec(
        "reject_unverified_recipient",
        verification.reject_unverified_recipient,
        Input.RECIPIENT,
        verification.VerificationOptions,
        effects=True,
    ),
    CheckSpec("check_spf", spf.check_spf, Input.SENDER, spf.SpfOptions, lookup=True),
    CheckSpec("score", score.score, Input.CLIENT, score.ScoreOptions, lookup=True, on_error="skip", score="gives"),
    CheckSpec("check_score", score.check_score, Input.CLIENT, score.CheckScoreOptions, memo=False, score="asks"),
    CheckSpec(
        "check_client_access",
        access_tables.check_client_access,
        Input.CLIENT,
        access_tables.AccessOptions,
        lookup=True,
        subject=Subject.CLIENT,
    ),
    CheckSpec(
        "check_reverse_client_hostname_access",
        access_tables.check_reverse_client_hostname_access,
        Input.CLIENT,
        access_tables.ForeignNamesOptions,
        lookup=True,
        subject=Subject.REVERSE_CLIENT,
    ),
    CheckSpec(
        "check_helo_access",
        access_tables.check_helo_access,
        Input.HELO,
        access_tables.AccessOptions,
        subject=Subject.HELO,
    ),
    CheckSpec(
        "check_sender_access",
        access_tables.check_sender_access,
        Input.SENDER,
        access_tables.AccessOptions,
        subject=Subject.SENDER,
    ),
    CheckSpec(
        "check_recipient_access",
        access_tables.check_recipient_access,
        Input.RECIPIENT,
        access_tables.AccessOptions,
        subject=Subject.RECIPIENT,
    ),
    CheckSpec(
        "check_ccert_access",
        access_tables.check_ccert_access,
        Input.CLIENT,
        access_tables.AccessOptions,
        memo=False,
        subject=Subject.CERTIFICATE,
    ),
    CheckSpec(
        "check_sasl_access",
        access_tables.check_sasl_access,
        Input.CLIENT,
        access_tables.AccessOptions,
        memo=False,
        subject=Subject.LOGIN,
    ),
    CheckSpec(
        "reject_attachment", attachments.reject_attachment, Input.MESSAGE, attachments.AttachmentOptions, lookup=True
    ),
    CheckSpec("header_checks", header_checks.header_checks, Input.MESSAGE, header_checks.HeaderOptions, lookup=True),
    CheckSpec("check_dkim", dkim.check_dkim, Input.MESSAGE, dkim.DkimOptions, lookup=True),
    *(
        CheckSpec(
            f"check_{of}_{kind}_access", check, known, access_tables.ForeignNamesOptions, lookup=True, subject=subject
        )
        for of, (known, subject) in _SUBJECTS.items()
        for kind, check in access_tables.server_access(of).items()
    ),
)
REGISTRY: Mapping[str, CheckSpec] = MappingProxyType({row.name: row for row in _ROWS})
