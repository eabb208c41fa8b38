"""What the answers of well-known lists mean, as far as their owners document it."""

from typing import NamedTuple

from smtpgate.dnsbl.listing import DnsList, return_codes


class Documented(NamedTuple):
    """A list's answers.

    codes: those that it gives. blocks, permits: those for a rule that refuses, and for one that permits; "" if it is
    not a list for that. meanings: why they are not all one, "" if they are. source: where that can be read.
    """

    codes: str
    blocks: str
    permits: str = ""
    meanings: str = ""
    source: str = ""

    def fits(self, listing: DnsList) -> bool:
        """Whether a filter lets any documented answer through."""
        own = return_codes(self.codes)
        assert own is not None
        return listing.codes is None or all(mine & wanted for mine, wanted in zip(own, listing.codes, strict=True))


_SPAMHAUS = "https://docs.spamhaustech.com/10-data-type-documentation/datasets/040-zones.html"
_ADDRESSES = Documented(
    "127.0.0.[2..11]",
    "127.0.0.[2..11]",
    meanings="spammers (2, 3, 9), exploited hosts (4..7) and hosts that should not send mail (10, 11)",
    source=_SPAMHAUS,
)
_DOMAINS = Documented(
    "127.0.1.[2..106]",
    "127.0.1.[2..99]",
    meanings="domains of spammers (2..99) and good ones that were abused (102..106)",
    source=_SPAMHAUS,
)
# A domain stands for all zones below it: some have a customer's key in front.
_DOCUMENTED = {
    "zen.spamhaus.org": _ADDRESSES,
    "zen.dq.spamhaus.net": _ADDRESSES,
    "sbl-xbl.spamhaus.org": _ADDRESSES._replace(
        codes="127.0.0.[2..9]", blocks="127.0.0.[2..9]", meanings="spammers (2, 3, 9) and exploited hosts (4..7)"
    ),
    "sbl.spamhaus.org": _ADDRESSES._replace(codes="127.0.0.[2;3;9]", meanings=""),
    "xbl.spamhaus.org": _ADDRESSES._replace(codes="127.0.0.[4..7]", meanings=""),
    "pbl.spamhaus.org": _ADDRESSES._replace(codes="127.0.0.[10;11]", meanings=""),
    "dbl.spamhaus.org": _DOMAINS,
    "dbl.dq.spamhaus.net": _DOMAINS,
    "zrd.dq.spamhaus.net": Documented(
        "127.0.2.[2..24]", "127.0.2.[2..24]", meanings="the hours since a domain was first seen", source=_SPAMHAUS
    ),
    "list.dnswl.org": Documented(
        "127.0.[0..255].[0..3]",
        "",
        "127.0.[0..255].[1..3]",
        "no trust (the last number is 0), low (1), medium (2) and high (3)",
        "https://www.dnswl.org/?page_id=15",
    ),
    "multi.surbl.org": Documented(
        "127.0.0.[2..254]",
        "127.0.0.[8..31;40..254]",
        meanings="a sum: phishing (8), malware (16), abuse (64), cracked sites (128), and other lists (4, 32)",
        source="https://surbl.org/lists",
    ),
    "multi.uribl.com": Documented(
        "127.0.0.[2..14]",
        "127.0.0.[2;6;10;14]",
        meanings="a sum: black (2), grey (4), which lists good domains too, and red (8), which is automatic",
        source="https://uribl.com/about.shtml",
    ),
    "hostkarma.junkemailfilter.com": Documented(
        "127.0.[0..2].[1..5]",
        "127.0.0.2",
        "127.0.0.1",
        "white (1), black (2), yellow (3), brown (4) and not to be blocked (5)",
        "http://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists",
    ),
    "rep.mailspike.net": Documented(
        "127.0.0.[10..20]",
        "127.0.0.[10..12]",
        "127.0.0.[18..20]",
        "reputations from worst (10) over neutral (15) to excellent (20)",
        "https://mailspike.org/usage.html",
    ),
    "bl.mailspike.net": Documented(
        "127.0.0.[2;10..12]", "127.0.0.[2;10..12]", source="https://mailspike.org/usage.html"
    ),
    "wl.mailspike.net": Documented(
        "127.0.0.[17..20]", "", "127.0.0.[17..20]", source="https://mailspike.org/usage.html"
    ),
    "all.spamrats.com": Documented(
        "127.0.0.[36..43]",
        "127.0.0.[36..38]",
        meanings="dynamic addresses (36), no name (37), spammers (38) and guessed passwords (43)",
        source="https://www.spamrats.com/",
    ),
    "bl.spamcop.net": Documented("127.0.0.2", "127.0.0.2", source="https://www.spamcop.net/fom-serve/cache/291.html"),
    "b.barracudacentral.org": Documented("127.0.0.2", "127.0.0.2", source="https://www.barracudacentral.org/rbl"),
    "psbl.surriel.com": Documented("127.0.0.2", "127.0.0.2", source="https://psbl.org/howto"),
}


def documented(zone: str) -> Documented | None:
    """What the answers of a zone mean, lower case, without final dot; None if it is not known here."""
    labels = zone.split(".")
    return next((found for start in range(len(labels)) if (found := _DOCUMENTED.get(".".join(labels[start:])))), None)
