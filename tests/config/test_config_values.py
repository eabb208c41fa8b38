"""Values as an administrator writes them: what is taken, and what is said about the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate import values


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (values.duration, "500ms", 0.5),
        (values.duration, "1.5h", 5400.0),
        (values.duration, "1w", 604800.0),
        (values.duration, "0s", 0.0),
        (values.size, "512KiB", 524288),
        (values.size, "1kB", 1000),
        (values.host_name, "MX.Example.org.", "mx.example.org"),
        (values.domain, "Bücher.EXAMPLE", "xn--bcher-kva.example"),
        (values.domain, "例え。テスト", "xn--r8jz45g.xn--zckzah"),
        (values.domain, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (values.endpoint, "127.0.0.1:25", values.Endpoint("127.0.0.1", 25)),
        (values.endpoint, "[2001:DB8:0::1]:65535", values.Endpoint("2001:db8::1", 65535)),
        (values.nameserver, "::1", values.Endpoint("::1", 53)),
        (values.nameserver, "127.0.0.1:5353", values.Endpoint("127.0.0.1", 5353)),
        (values.server_name, "", values.system_name()),
        (values.worker_count, 0, 0),
        (values.system_user, "", ""),
        (values.system_user, "root", "root"),
        (values.socket_path, "var/smtpgate.sock", "var/smtpgate.sock"),
        (values.store_url, "sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        (values.list_of(values.size, frozenset), ["1B", "1B"], frozenset({1})),
    ],
)
def test_taken(parse: values.Parser, written: Any, value: Any) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        (values.duration, "5"),
        (values.duration, "5 m"),
        (values.duration, "-5m"),
        (values.duration, "٣s"),
        (values.duration, "999999999w"),
        (values.size, "25mib"),
        (values.size, "-1B"),
        (values.network, "192.0.2.1/24"),
        (values.network, 3221225985),
        (values.domain, "a..example"),
        (values.domain, "a@example.org"),
        (values.domain, "-bücher.example"),
        (values.domain, "ü" * 64 + ".example"),
        (values.domain, ""),
        (values.endpoint, "127.0.0.1"),
        (values.endpoint, "::1:25"),
        (values.endpoint, "[127.0.0.1]:25"),
        (values.endpoint, "127.1:25"),
        (values.endpoint, "127.0.0.1:0"),
        (values.endpoint, "127.0.0.1:٣"),
        (values.nameserver, "dns.example.org"),
        (values.server_name, "a b"),
        (values.server_name, "192.0.2.1"),
        (values.count, 0),
        (values.count, True),
        (values.worker_count, -1),
        (values.worker_count, False),
        (values.worker_count, 1001),
        (values.system_user, "no such user"),
        (values.system_user, "ro\0ot"),
        (values.system_user, 0),
        (values.socket_path, ""),
        (values.socket_path, "ü" * 54),
        (values.socket_path, "a\0b"),
        (values.socket_path, None),
        (values.count, 1.0),
        (values.boolean, 1),
        (values.above_zero(values.duration), "0ms"),
        (values.store_url, "sqlite://var/x.db"),
        (values.store_url, "sqlite:///"),
        (values.store_url, "sqlite:///:memory:"),
        (values.store_url, "http://[::1"),
    ],
)
def test_refused(parse: values.Parser, written: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(written)


def test_every_wrong_element_of_a_list_is_named() -> None:
    with pytest.raises(values.ElementErrors) as caught:
        values.list_of(values.size)(["1B", "1", "2B", 3])
    assert [index for index, _ in caught.value.errors] == [1, 3]


def test_the_systems_name_is_a_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "no host name")
    assert values.system_name() == "localhost"


@given(
    st.sampled_from([values.domain, values.endpoint, values.nameserver, values.network, values.store_url]), st.text()
)
def test_any_text_is_taken_or_refused(parse: values.Parser, text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right
