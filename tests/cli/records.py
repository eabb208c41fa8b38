"""Records that somebody asks about."""

from smtpgate.record import Record, RelayEntry, ReplyEntry, RuleEntry

GREYLISTED = "450 4.2.0 Greylisted, please try again in 300 seconds"
NO_HOSTNAME = "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"


def refused() -> Record:
    """One recipient is put off by a rule, the other unknown to the downstream; two rules are in shadow mode."""
    record = Record(1_795_435_200.25, "192.0.2.7", "0.0.0.0:25", ref="7QK2M9XA", helo="mail.example.com")
    record.sender, record.recipients = "alice@example.com", ["bob@example.org", "carol@example.org"]
    record.outcome, record.decided_by, record.ms = "rejected", "downstream", 183.0
    block_list = {"dns": "7.2.0.192.zen.example.org A: no such name"}
    lame = "7.2.0.192.in-addr.arpa PTR: temporary failure (no answer within 5 s)"
    triplet = {"client": "192.0.2.0/24", "first_seen": 1_795_435_200.5, "age": 0.0, "passes": 0}
    bob, carol = record.recipients
    record.rules = [
        RuleEntry("client", "reject_rbl_client zen.example.org", "enforce", None, "dunno", None, block_list, 12_300),
        RuleEntry(
            "client",
            "reject_unknown_client_hostname",
            "shadow",
            None,
            "reject",
            NO_HOSTNAME,
            {"dns": [lame], "names": []},
            30_400,
        ),
        RuleEntry("mail", "check_spf", "shadow"),
        RuleEntry("rcpt", "permit_mynetworks", "enforce", None, "dunno", us=10),
        RuleEntry("rcpt", "reject_unauth_destination", "enforce", bob, "dunno", us=120),
        RuleEntry("rcpt", "greylist", "enforce", bob, "defer", GREYLISTED, triplet, 3100),
        RuleEntry("rcpt", "reject_unauth_destination", "enforce", carol, "dunno", us=120),
    ]
    record.replies = [
        ReplyEntry(f"RCPT {bob}", GREYLISTED),
        ReplyEntry(f"RCPT {carol}", "550 5.1.1 User unknown"),
        ReplyEntry("XYZZY", "502 5.5.1 Error: command not implemented"),
        ReplyEntry("DATA", "554 5.5.1 Error: no valid recipients"),
    ]
    record.relay = [RelayEntry(f"RCPT {carol}", "550 5.1.1 User unknown in virtual mailbox table", 2500)]
    return record


# What is told of it.
GOLDEN = """\
Reference 7QK2M9XA   2026-11-23 12:00:00 UTC   rejected, 183 ms

Refused for good by the downstream mail server. The sender's server will not try again, and tells its user.
The client was told: 550 5.1.1 User unknown

CLIENT   192.0.2.7 connected to 0.0.0.0:25
  dunno             reject_rbl_client zen.example.org   12 ms
      7.2.0.192.zen.example.org A: no such name
  (reject)          reject_unknown_client_hostname   30 ms
      shadow: would have refused with 450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]
      7.2.0.192.in-addr.arpa PTR: temporary failure (no answer within 5 s)

HELO     called itself mail.example.com

MAIL     from alice@example.com
  (unfinished)      check_spf
      shadow: had not answered when the record was closed

RCPT     to bob@example.org, carol@example.org
  dunno             permit_mynetworks   0.0 ms
  bob@example.org:
    dunno             reject_unauth_destination   0.1 ms
    defer             greylist   3.1 ms
        with 450 4.2.0 Greylisted, please try again in 300 seconds
        client: 192.0.2.0/24
        first seen: 2026-11-23 12:00:00 UTC
        age: 0 s
        passes: 0
    answered 450 4.2.0 Greylisted, please try again in 300 seconds
  carol@example.org:
    dunno             reject_unauth_destination   0.1 ms
    downstream: 550 5.1.1 User unknown in virtual mailbox table   2.5 ms
    answered 550 5.1.1 User unknown

DATA
  answered 554 5.5.1 Error: no valid recipients

OTHER
  XYZZY: answered 502 5.5.1 Error: command not implemented"""


def accepted(ref: str = "0000000A") -> Record:
    record = Record(1_795_435_200.0, "2001:db8::1", "0.0.0.0:25", ref=ref, sender="", size=1234, outcome="accepted")
    record.recipients = ["bob@example.org"]
    record.replies = [ReplyEntry("RCPT bob@example.org", "250 2.1.5 Ok"), ReplyEntry("end of data", "250 2.0.0 Ok")]
    record.relay = [RelayEntry("end of data", "250 2.0.0 queued as 4XyZ", 8250)]
    return record
