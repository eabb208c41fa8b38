"""When a certificate is warned about."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smtpgate.server.expiry import Validity, validity
from tests.certificates import issue

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begins", "ends", "trouble"),
    [
        (-60, 30, ""),
        (-60, 14, ""),
        (-60, 13.9, "it expires in 13 days, on 2026-12-07"),
        (-60, 1.5, "it expires in 36 hours, on 2026-11-25"),
        (-60, 0.001, "it expires in 0 hours, on 2026-11-23"),
        (-60, 0, "it expired on 2026-11-23"),
        (-60, -3, "it expired on 2026-11-20"),
        (1, 90, "it is not valid before 2026-11-24 12:00 UTC"),
        (-3, 3, ""),  # a life of six days is renewed every three or four
        (-5, 1, "it expires in 24 hours, on 2026-11-24"),
    ],
)
def test_trouble(begins: float, ends: float, trouble: str) -> None:
    assert Validity(NOW + timedelta(begins), NOW + timedelta(ends)).trouble(NOW) == trouble


def test_that_of_a_file(tmp_path: Path) -> None:
    found = validity(str(issue(tmp_path, days=(-3, 4)).certificate))
    assert found is not None
    assert found.ends - found.begins == timedelta(7)


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_a_file_without_one(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    if content is not None:
        path.write_text(content)
    assert validity(str(path)) is None
