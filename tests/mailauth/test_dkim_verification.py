import asyncio
import base64
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.dns.resolver import Answer, RecordType
from smtpgate.mailauth import dkim
from smtpgate.mailauth.dkim import DkimResult, verify_dkim
from smtpgate.mailauth.message import Message
from tests.fakes import Clock, FakeDns
from tests.mailauth.signing import (
    BODY,
    HEADER,
    KEY_NAME,
    MESSAGE,
    ed25519_key,
    record,
    rsa_key,
    signed,
    signed_by_dkimpy,
)

NOW = 1_800_000_000.0


def dns(extra: str = "", **more: Any) -> FakeDns:
    return FakeDns(TXT={KEY_NAME: [record(rsa_key(), extra)]}, **more)


async def verify(content: bytes, resolver: Any = None) -> list[DkimResult]:
    return await verify_dkim(resolver or dns(), Message(content), clock=Clock(NOW))


async def outcome(content: bytes, resolver: Any = None) -> tuple[str, str]:
    (result,) = await verify(content, resolver)
    return result.result, result.reason


# RFC 8463, appendix A
RFC_8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC_8463_KEYS = {
    "brisbane._domainkey.football.example.com": ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    "test._domainkey.football.example.com": [
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
        "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b"
        "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyV"
        "YLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    ],
}


async def test_the_example_of_rfc_8463() -> None:
    results = await verify(RFC_8463, FakeDns(TXT=RFC_8463_KEYS))
    assert results == [
        DkimResult("pass", "football.example.com", "brisbane", "ed25519-sha256", 256, "/gCrinpc"),
        DkimResult("pass", "football.example.com", "test", "rsa-sha256", 1024, "F45dVWDf"),
    ]


async def test_no_signature() -> None:
    assert await verify(MESSAGE) == []


@pytest.mark.parametrize("canonical", ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"])
async def test_what_dkimpy_signs_passes(canonical: str) -> None:
    assert await outcome(signed_by_dkimpy(canonical=canonical)) == ("pass", "")


HEADERS = st.lists(
    st.tuples(st.sampled_from(["To", "subject", "X-A"]), st.text(" \tab", min_size=1, max_size=20)), max_size=4
)
BODIES = st.lists(st.text(" \tab", max_size=6), max_size=6)


@given(HEADERS, BODIES, st.sampled_from(["relaxed/relaxed", "simple/simple"]))
def test_any_message_that_dkimpy_signs_passes(headers: list[tuple[str, str]], body: list[str], canonical: str) -> None:
    header = "From: a@example.org\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    message = (header + "\r\n" + "".join(line + "\r\n" for line in body)).encode()
    content = signed_by_dkimpy(message, canonical, include_headers=[b"from", b"to", b"subject", b"x-a", b"x-a"])
    assert asyncio.run(outcome(content)) == ("pass", "")


FLIPPED = [at for at, byte in enumerate(MESSAGE) if chr(byte).isalnum() and not MESSAGE[at : at + 1].isspace()]


@given(st.sampled_from(FLIPPED), st.sampled_from(["relaxed/relaxed", "simple/simple"]))
def test_one_other_byte_does_not_pass(at: int, canonical: str) -> None:
    content = bytearray(signed_by_dkimpy(canonical=canonical))
    content[len(content) - len(MESSAGE) + at] ^= 2
    (result,) = asyncio.run(verify(bytes(content)))
    assert result.result in ("fail", "policy")  # policy: another field is now called From


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ("pass", "")),
        ({"v": "2"}, ("permerror", "unknown version")),
        ({"v": None}, ("permerror", "no v= tag")),
        ({"bh": None}, ("permerror", "no bh= tag")),
        ({"b": None}, ("permerror", "no b= tag")),
        ({"a": "rsa-sha1"}, ("permerror", "rsa-sha1 is not accepted")),
        ({"a": "rsa-md5"}, ("permerror", "unknown algorithm")),
        ({"a": "ed25519-sha256"}, ("permerror", "key is of another algorithm")),
        ({"c": "relaxed/loose"}, ("permerror", "unknown canonicalization")),
        ({"c": "relaxed"}, ("fail", "body has been altered")),
        ({"q": "dns/txt"}, ("pass", "")),
        ({"q": "http"}, ("permerror", "unknown query method")),
        ({"d": "exa mple.org"}, ("permerror", "d= is not a domain name")),
        ({"d": "a" * 300}, ("permerror", "d= is not a domain name")),
        ({"s": "../x"}, ("permerror", "s= is not a domain name")),
        ({"i": "ann@example.org"}, ("pass", "")),
        ({"i": "@mail.example.org"}, ("pass", "")),
        ({"i": "@badexample.org"}, ("permerror", "i= is not within d=")),
        ({"i": "example.org"}, ("permerror", "i= is not within d=")),
        ({"i": "@example.com"}, ("permerror", "i= is not within d=")),
        ({"h": "to:subject"}, ("permerror", "From is not signed")),
        ({"h": "From:from:to:no-such-field"}, ("pass", "")),
        ({"h": "from:dkim-signature"}, ("pass", "")),  # another one, had there been any
        ({"t": "soon"}, ("permerror", "t= is not a number")),
        ({"x": str(int(NOW) + 60)}, ("pass", "")),
        ({"x": str(int(NOW) - 60)}, ("pass", "")),  # our clocks may differ
        ({"x": str(int(NOW) - 3600)}, ("fail", "signature expired")),
        ({"x": "9" * 4400}, ("permerror", "x= is not a number")),
        ({"t": "1800000001", "x": "1800000000"}, ("permerror", "x= is not after t=")),
        ({"l": "25"}, ("pass", "")),
        ({"l": "10"}, ("policy", "only a part of the body is signed (l=)")),
        ({"l": "0"}, ("policy", "only a part of the body is signed (l=)")),
        ({"l": "999"}, ("permerror", "l= is longer than the body")),
        ({"l": "-1"}, ("permerror", "l= is not a number")),
        ({"b": "AAAA"}, ("fail", "header has been altered")),
        ({"b": "!!"}, ("permerror", "b= is not base64")),
        ({"b": "AAA"}, ("permerror", "b= is not base64")),
        ({"bh": "AAAA"}, ("fail", "body has been altered")),
        ({"bh": "AA\xc3\xa9="}, ("permerror", "bh= is not base64")),
        ({"z": "x" * 9000}, ("permerror", "signature field too long")),
    ],
)
async def test_the_tags_of_a_signature(changes: dict[str, str | None], wanted: tuple[str, str]) -> None:
    assert await outcome(signed(**changes)) == wanted


@pytest.mark.parametrize(
    "value", [b"", b" ", b"v", b"v=1; v=1", b";;;", b"=", b"v=1; \xff\xfe=1", b"\r\n v=1", b"v=1;" * 2000]
)
async def test_a_field_that_is_no_signature(value: bytes) -> None:
    (result,) = await verify(b"DKIM-Signature:" + value + b"\r\n" + MESSAGE)
    assert result.result == "permerror"
    assert result.reason not in ("", "internal error")


def public_key(bits: int, exponent: int) -> str:
    key = RSAPublicNumbers(exponent, 2 ** (bits - 1) + 1).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


GOOD_KEY = record(rsa_key())


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([record(rsa_key(), "t=y:s; h=sha1:sha256; s=email;")], ("pass", "")),
        ([GOOD_KEY.replace("v=DKIM1; k=rsa;", "")], ("pass", "")),
        ([" " + GOOD_KEY.replace("; ", " ;\t") + " ; "], ("pass", "")),
        (["something else", GOOD_KEY], ("pass", "")),
        ([record(rsa_key(), "h=sha1;")], ("permerror", "key is not for sha256")),
        ([record(rsa_key(), "s=tlsrpt;")], ("permerror", "key is not for email")),
        ([GOOD_KEY.replace("DKIM1", "DKIM2")], ("permerror", "not a DKIM key record")),
        (["v=DKIM1; p="], ("permerror", "key revoked")),
        (["v=DKIM1"], ("permerror", "no key in record")),
        (["v=DKIM1; p=AAAA"], ("permerror", "key cannot be read")),
        (["v=DKIM1; p=!"], ("permerror", "key cannot be read")),
        (["v=DKIM1; p=é"], ("permerror", "key cannot be read")),
        ([record(ed25519_key())], ("permerror", "key is of another algorithm")),
        ([record(ed25519_key()).replace("ed25519", "rsa")], ("permerror", "key cannot be read")),
        ([f"p={public_key(4097, 65537)}"], ("permerror", "key of 4097 bits")),
        ([f"p={public_key(16384, 65537)}"], ("permerror", "key of 16384 bits")),
        ([f"p={public_key(2048, 2**32 + 1)}"], ("permerror", "key with too large an exponent")),
        ([GOOD_KEY + "; n=" + "x" * 4096], ("permerror", "key record too long")),
        (["v=spf1 -all"], ("permerror", "not a DKIM key record")),
    ],
)
async def test_the_key_record(records: list[str], wanted: tuple[str, str]) -> None:
    assert await outcome(signed(), FakeDns(TXT={KEY_NAME: records})) == wanted


async def test_keys_too_short_are_refused() -> None:
    # RFC 8301 §3.2. 1023 bits: whether the library reads the key or not, it must not verify.
    (result,) = await verify(signed(), FakeDns(TXT={KEY_NAME: [f"p={public_key(1023, 65537)}"]}))
    assert result.result == "permerror"


@pytest.mark.parametrize(("identity", "result"), [("@example.org", "pass"), ("@mail.example.org", "permerror")])
async def test_a_strict_key_wants_i_to_be_d(identity: str, result: str) -> None:
    assert (await outcome(signed(i=identity), dns("t=s;")))[0] == result


async def test_a_key_in_test_mode_is_told() -> None:
    (result,) = await verify(signed(), dns("t=y;"))
    assert (result.result, result.testing) == ("pass", True)


@pytest.mark.parametrize(
    ("resolver", "wanted"),
    [
        (FakeDns(), ("permerror", "no key")),
        (FakeDns(A={KEY_NAME: ["192.0.2.1"]}), ("permerror", "no key")),
        (FakeDns(fail={KEY_NAME}), ("temperror", "key could not be looked up")),
    ],
)
async def test_no_key(resolver: FakeDns, wanted: tuple[str, str]) -> None:
    assert await outcome(signed(), resolver) == wanted


async def test_ed25519() -> None:
    resolver = FakeDns(TXT={KEY_NAME: [record(ed25519_key())]})
    content = signed(key=ed25519_key())
    assert await outcome(content, resolver) == ("pass", "")
    assert (await outcome(content.replace(b"Hello", b"Hullo"), resolver))[0] == "fail"
    assert (await outcome(content, FakeDns(TXT={KEY_NAME: ["k=ed25519; p=AAAA"]})))[0] == "permerror"


@pytest.mark.parametrize("names", ["from:to", "from:from:to"])
async def test_a_second_from_field_is_not_accepted(names: str) -> None:
    # RFC 6376 §8.15: whoever displays the first From would show one that nobody signed.
    content = signed(h=names).replace(b"From: Ann", b"From: evil@example.net\r\nFrom: Ann")
    assert (await outcome(content))[0] != "pass"


async def test_of_several_fields_the_last_is_signed() -> None:
    two = MESSAGE.replace(b"To:", b"To: carl@example.com\r\nTo:")
    assert await outcome(signed(two)) == ("pass", "")
    assert (await outcome(signed(two).replace(b"bob@", b"eve@")))[0] == "fail"


async def test_b_is_taken_out_wherever_it_stands() -> None:
    # §3.7: the rest of the field counts, blanks and folding included.
    first, _, rest = signed().partition(b"; b=")
    value, _, rest = rest.partition(b"\r\n")
    folded = first + b"; b=" + value[:9] + b"\r\n\t" + value[9:40] + b" \r\n " + value[40:] + b"\r\n" + rest
    assert await outcome(folded) == ("pass", "")
    assert (await outcome(folded.replace(b"c=relaxed/relaxed", b"c=relaxed /relaxed")))[0] != "pass"


async def test_the_signatures_are_told_apart_and_capped() -> None:
    content = MESSAGE
    for _ in range(20):
        content = signed(content)
    resolver = dns()
    results = await verify(content, resolver)
    assert [result.result for result in results] == ["pass"] * 8
    assert len(resolver.asked) == 8
    assert results[0] == DkimResult("pass", "example.org", "sel", "rsa-sha256", 2048, results[0].b)
    assert len(results[0].b) == 8


async def test_keys_are_looked_up_at_the_same_time() -> None:
    both = asyncio.Event()
    waiting = 0

    class Meeting:
        async def query(self, name: str, kind: RecordType) -> Answer:
            nonlocal waiting
            waiting += 1
            if waiting == 2:
                both.set()
            await both.wait()
            return await dns().query(name, kind)

    assert [result.result for result in await verify(signed(signed()), Meeting())] == ["pass", "pass"]


async def test_a_large_body_is_hashed_once_and_not_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    real = dkim.body_digest

    def noted(*args: Any, **kwargs: Any) -> tuple[bytes, int]:
        threads.append(threading.get_ident())
        return real(*args, **kwargs)

    monkeypatch.setattr(dkim, "body_digest", noted)
    content = signed(signed(HEADER + b"\r\n" + BODY * 4000))
    assert [result.result for result in await verify(content)] == ["pass", "pass"]
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_a_header_that_is_too_large_is_not_read() -> None:
    message = Message(signed(b"X: y\r\n" * 50_000 + MESSAGE))
    (result,) = await verify_dkim(dns(), message, clock=Clock(NOW))
    assert (result.result, result.reason) == ("permerror", "header too large")
    assert "fields" not in vars(message)


async def test_an_unforeseen_error_is_a_permerror(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def query(self, name: str, kind: RecordType) -> Answer:
            raise RuntimeError("secret")

    assert await outcome(signed(), Broken()) == ("permerror", "internal error")
    assert "secret" in caplog.text


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_raises(field: bytes, key: bytes) -> None:
    content = b"DKIM-Signature: " + field + b"\r\n" + signed()
    resolver = FakeDns(TXT={KEY_NAME: [key]})
    for result in asyncio.run(verify(content, resolver)):
        assert result.result != "pass"
        assert result.reason != "internal error"
