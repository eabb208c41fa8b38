"""What is known of the answers of well-known lists fits together."""

import pytest

from smtpgate.dnsbl.documented import _DOCUMENTED, Documented, documented
from smtpgate.dnsbl.listing import address_list, domain_list, return_codes


@pytest.mark.parametrize("zone", _DOCUMENTED)
def test_each_is_whole(zone: str) -> None:
    known = _DOCUMENTED[zone]
    assert return_codes(known.codes)
    assert known.source.startswith("http")
    for wanted in filter(None, (known.blocks, known.permits)):
        assert known.fits(address_list(f"{zone}={wanted}"))
    assert known.blocks or known.permits


@pytest.mark.parametrize(
    ("zone", "found"),
    [
        ("zen.spamhaus.org", True),
        ("0123456789abcdefghijkl.zen.dq.spamhaus.net", True),
        ("spamhaus.org", False),
        ("bl.example", False),
        ("notzen.spamhaus.org", False),
    ],
)
def test_a_zone_is_found_with_a_key_in_front(zone: str, found: bool) -> None:
    assert (documented(zone) is not None) == found


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ("dbl.spamhaus.org=127.0.1.2", True),
        ("dbl.spamhaus.org=127.0.1.[100..255]", True),
        ("dbl.spamhaus.org", True),
        ("dbl.spamhaus.org=127.0.0.2", False),
        ("dbl.spamhaus.org=127.0.1.[107..254]", False),
    ],
)
def test_filters(written: str, fits: bool) -> None:
    known = documented("dbl.spamhaus.org")
    assert isinstance(known, Documented)
    assert known.fits(domain_list(written)) == fits
