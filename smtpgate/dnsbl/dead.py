"""Lists that are no more, by name. Some of them answered nothing in the end, others listed the whole Internet."""

from typing import NamedTuple


class Death(NamedTuple):
    """When a list ended, as far as is known, and where that can be read."""

    when: str
    source: str


# A domain stands for all zones below it.
_DEAD = {
    "sorbs.net": Death("June 2024", "https://www.dnsbl.com/2024/06/status-of-dnsblsorbsnet-dead.html"),
    "dnsbl.manitu.net": Death("January 2025", "https://nixspam.net/"),
    "ubl.unsubscore.com": Death("before June 2024", "https://www.dnsbl.com/"),
    "dnsbl.inps.de": Death("May 2020", "https://www.dnsbl.com/"),
    "spamcannibal.org": Death("May 2019, lists everybody", "https://www.dnsbl.info/bl-spamcannibal-org.php"),
    "virbl.bit.nl": Death("2017", "https://www.rollernet.us/2017/01/shutdown-of-virbl-dnsbl-bit-nl/"),
    "dul.ru": Death("May 2015, lists everybody", "https://www.dnsbl.com/"),
    "ahbl.org": Death(
        "January 2015, lists everybody", "http://ahbl.org/content/last-notice-wildcarding-services-jan-1st"
    ),
    "njabl.org": Death("2013", "https://github.com/ndrut/node-dnsbl/pull/1"),
    "rfc-ignorant.org": Death("2012", "https://reviewmyemails.com/emailalmanac/"),
    "dsbl.org": Death("May 2008", "https://vamsoft.com/company/news/dsbl-shutdown"),
    "ordb.org": Death("2006, lists everybody", "http://securityandthe.net/2009/03/10/dsbl-blacklist-gone/"),
    "wpbl.info": Death("before 2025", "https://github.com/dmippolitov/pydnsbl/issues/48"),
    "dnsbl.cyberlogic.net": Death("before 2025", "https://github.com/dmippolitov/pydnsbl/issues/48"),
}


def death_of(zone: str) -> Death | None:
    """When a zone ended, lower case, without final dot; None if it is not known to be dead."""
    labels = zone.split(".")
    return next((death for start in range(len(labels)) if (death := _DEAD.get(".".join(labels[start:])))), None)
