import pytest

from smtpgate.relay.url import DownstreamUrl, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp://127.0.0.1:10025", DownstreamUrl("smtp", "127.0.0.1", 10025)),
        ("smtp://mail.example.org", DownstreamUrl("smtp", "mail.example.org", 25)),
        ("smtp://[::1]:2525", DownstreamUrl("smtp", "::1", 2525)),
        ("smtp://[::1]", DownstreamUrl("smtp", "::1", 25)),
        ("smtps://mail.example.org", DownstreamUrl("smtps", "mail.example.org", 465)),
        ("smtps://[::1]:2525", DownstreamUrl("smtps", "::1", 2525)),
        ("lmtp://dovecot", DownstreamUrl("lmtp", "dovecot", 24)),
        ("lmtp://dovecot:2424", DownstreamUrl("lmtp", "dovecot", 2424)),
        ("lmtp+unix:/run/dovecot/lmtp", DownstreamUrl("lmtp+unix", path="/run/dovecot/lmtp")),
        ("maildir:var/mail", DownstreamUrl("maildir", path="var/mail")),
        ("maildir:/var/mail", DownstreamUrl("maildir", path="/var/mail")),
    ],
)
def test_urls(text, expected):
    assert parse_url(text) == expected
    assert parse_url(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", None, 25, "127.0.0.1:25", "smtp:127.0.0.1", "smtp://", "smtp://:25", "smtp://host:", "smtp://host:0",
        "smtp://host:65536", "smtp://host:٢٥", "smtp://host:-1", "smtp://::1:25", "smtp://[::1", "smtp://[::1]25",
        "smtp://[mail]:25", "smtp://host/path", "smtp://user@host", "smtp://ho st", "SMTP://host", "http://host",
        "smtps:host", "lmtp+unix:relative", "lmtp+unix:", "lmtp:/run/lmtp", "maildir:", "maildir://var/mail",
        "maildir:a\0b", "smtp://host:" + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_downstream(text):
    with pytest.raises(ValueError, match='a downstream such as "smtp://'):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        ("smtp://127.0.0.1", True),
        ("smtp://127.8.9.1:25", True),
        ("smtps://[::1]", True),
        ("lmtp://localhost", True),
        ("lmtp+unix:/l", True),
        ("maildir:m", True),
        ("smtp://192.0.2.1", False),
        ("smtp://[2001:db8::1]", False),
        ("smtp://localhost.example.org", False),
    ],
)
def test_what_leaves_this_machine(text, is_local):
    assert parse_url(text).is_local is is_local
