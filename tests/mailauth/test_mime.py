"""The parts of a message: what is found, wherever its pieces are cut, and that nothing raises or takes long."""

import email
import email.policy
import encodings
from collections.abc import Callable
from email.message import EmailMessage, MIMEPart

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.mailauth.message import Message
from smtpgate.mailauth.mime import MOST_DEPTH, MOST_PARTS, MimeWalker, find_parts
from smtpgate.mailauth.mime_fields import media_type, names, parameters
from tests.growth import assert_linear


def walked(data: bytes, size: int = 1 << 30) -> MimeWalker:
    walker = MimeWalker()
    for start in range(0, len(data), size):
        walker.feed(data[start : start + size])
    walker.close()
    return walker


def found(data: bytes) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(part.types, part.names) for part in walked(data).parts]


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


MIXED = """Content-Type: multipart/mixed; boundary="b"

preamble
--b
Content-Type: text/plain; name=inner.txt

text
--b
content-disposition: attachment;
\tfilename="a;b.exe"

--bc is no delimiter, nor
 --b
--b--
epilogue
"""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_multipart_in_pieces_of_any_size(size: int) -> None:
    parts = walked(crlf(MIXED), size).parts
    assert [part.types for part in parts] == [("multipart/mixed",), ("text/plain",), ("text/plain",)]
    assert [part.names for part in parts] == [(), ("inner.txt",), ("a;b.exe",)]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("attachment; filename=evil.exe", "evil.exe"),
        ("attachment; filename = evil.exe ", "evil.exe"),
        ("attachment; filename=evil file.exe; x=y", "evil file.exe"),
        ('attachment; filename="evil.exe"', "evil.exe"),
        (r'attachment; filename="ev\"il.exe"', 'ev"il.exe'),
        ('attachment; filename="evil.exe', "evil.exe"),
        ('ATTACHMENT; FILENAME="EVIL.EXE"', "evil.exe"),
        ("; filename=evil.exe", "evil.exe"),
        ("attachment;filename=evil.exe", "evil.exe"),
        ('attachment; x="; filename=good.txt"; filename=evil.exe', "evil.exe"),
        # RFC 2231
        ("attachment; filename*=utf-8''%65vil.exe", "evil.exe"),
        ("attachment; filename*=UTF-8'en'%e2%82%ac.exe", "€.exe"),
        ("attachment; filename*=iso-8859-1''%e4.exe", "ä.exe"),
        ('attachment; filename*0="ev"; filename*1="il.e"; filename*2=xe', "evil.exe"),
        ("attachment; filename*1*=%69l.exe; filename*0*=us-ascii''ev", "evil.exe"),
        ("attachment; filename*=no-such-charset''evil.exe", "evil.exe"),
        ("attachment; filename*=punycode''evil.exe", "evil.exe"),
        ("attachment; filename*=evil.exe", "evil.exe"),
        # RFC 2047
        ("attachment; filename==?utf-8?B?ZXZpbC5leGU=?=", "evil.exe"),
        ('attachment; filename="=?utf-8?B?ZXZpbC5leGU=?="', "evil.exe"),
        ('attachment; filename="=?utf-8?Q?evil=2Ee?= =?utf-8?q?xe?="', "evil.exe"),
        ('attachment; filename="=?x?B?ZXZpbC5leGU?="', "evil.exe"),
        # what systems leave out
        ('attachment; filename="evil.exe. . "', "evil.exe"),
        ('attachment; filename="..\\\\..\\\\evil.exe"', "evil.exe"),
        ('attachment; filename="/tmp/evil.exe"', "evil.exe"),
        ('attachment; filename="ev\u202eil.e\u200bxe"', "evil.exe"),
        # several
        ("attachment; filename=good.txt; filename=evil.exe", "evil.exe"),
        ("attachment; filename=good.txt; filename*=utf-8''evil.exe", "evil.exe"),
        (f"attachment; filename={'x' * 5000}.exe", "x" * 1020 + ".exe"),
    ],
)
def test_names(value: str, name: str) -> None:
    assert name in list(names(parameters(value), "filename"))


@pytest.mark.parametrize(
    ("value", "kind"),
    [("text/plain", "text/plain"), (" Text/Plain ; x=y", "text/plain"), ("text", ""), ("", ""), ("a/b/c", "")],
)
def test_types(value: str, kind: str) -> None:
    assert media_type(value) == kind


def nested(depth: int) -> bytes:
    text = "".join(f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\n' for level in range(depth))
    return crlf(f"{text}Content-Disposition: x; filename=evil.exe\n\n")


@pytest.mark.parametrize(
    "message",
    [
        nested(1),
        nested(MOST_DEPTH),
        # a message inside, and one inside of that
        crlf("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nContent-Type: a/b; name=evil.exe\n\n"),
        crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: a/b; name=evil.exe\n\n--b--\n"),
        # malformed: some mail programs see it
        crlf(MIXED + "--b\nContent-Type: a/b; name=evil.exe\n"),
        crlf("Content-Type: multipart/x; boundary=b\n\n--b  \nno field\nContent-Type: a/b; name=evil.exe\n\n"),
        crlf("Content-Type: multipart/x; boundary=b\n\n--b\nX: y\n--b\nContent-Type: a/b; name=evil.exe\n\n"),
        crlf("Content-Type: text/plain\nContent-Type: multipart/x; boundary=b\n\n--b\nContent-Type:; name=evil.exe\n"),
        crlf("Content-Type: multipart/x; boundary=a\n\n--a\nContent-Type: multipart/x; boundary=a\n\n--a\n"
             "Content-Type: a/b; name=evil.exe\n\n"),
        crlf("Content-Type: multipart/x; boundary=a\n\n--a\nContent-Type: multipart/x; boundary=b\n\n--a\n"
             "Content-Type: a/b; name=evil.exe\n\n"),
        crlf("Content-Type: a/b;\n name=\"ev\n il.exe\"\nX: y\n\n").replace(b"ev\r\n il", b"evil"),
        b"Content-Type: a/b; name=evil.exe",
    ],
)  # fmt: skip
def test_the_name_is_found(message: bytes) -> None:
    assert "evil.exe" in [name for part in walked(message).parts for name in part.names]


@pytest.mark.parametrize(
    "message",
    [
        nested(MOST_DEPTH + 2),
        crlf("Content-Type: multipart/x; boundary=b\n\n" + "--b\n\n" * (MOST_PARTS + 1)),
        b"Content-Type: " + b"x" * 70_000,
        crlf("Content-Type: multipart/x; boundary=b\n\n" + "--\n" * 200_001),
        crlf("Content-Type: multipart/x; boundary=b\n\n" + ("--b\n" + "X: y\n" * 4000 + "\n") * 60),
        b"X: y\r\n" * 5001 + b"\r\n",
    ],
)
def test_what_is_too_much_is_told(message: bytes) -> None:
    assert walked(message).too_complex


@pytest.mark.parametrize("length", [10, 30, 5000])
def test_python_keeps_no_stranger_s_charset_for_ever(length: int) -> None:
    kept = dict(vars(encodings)["_cache"])
    names = [f"{'x' * length}{number}" for number in range(3)]
    fields = [f"name=\"=?{name}?q?a?=\"; name{name[-1]}*={name}''b" for name in names]
    assert walked(f"Content-Type: a/b; {'; '.join(fields)}\r\n\r\n".encode()).parts
    assert vars(encodings)["_cache"].keys() == kept.keys()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("", "é"), ("utf8", "é"), ("UTF-8", "é"), ("iso-8859-15", "€"), ("ISO_8859-2:1987", "ł"), ("Windows-1251", "ж"),
        ("KOI8-U", "ї"), ("gb2312", "中"), ("Big5", "中"), ("Shift_JIS", "カ"), ("iso-2022-jp", "カ"), ("cp737", "ά"),
    ],
)  # fmt: skip
def test_the_charsets_of_real_mail_are_known(charset: str, name: str) -> None:
    octets = "".join(f"%{octet:02x}" for octet in name.encode(charset or "utf-8"))
    assert list(names(parameters(f"x; filename*={charset}''{octets}.exe"), "filename")) == [f"{name}.exe"]


def test_what_is_folded_below_another_field_is_no_part_of_it() -> None:
    message = crlf("Content-Type: a/b\nX: y\n ; name=evil.exe\n\n")
    assert found(message) == [(("a/b",), ())]


async def test_a_plain_message_is_not_read_to_its_end() -> None:
    walker = await find_parts(Message(b"Subject: x\r\n\r\n" + b"x" * 1_000_000))
    assert len(walker.parts) == 1
    assert walker.is_done


# --- against Python's parser -----------------------------------------------------------------------------------------

FILE_NAME = st.text(st.sampled_from("abcXYZ012 ;=\"\\'éü€ñ日%*?_-()"), min_size=1, max_size=90).map(
    lambda text: text.strip() + ".txt"
)
KIND = st.sampled_from([("text", "plain"), ("application", "x-msdownload"), ("image", "png"), ("application", "zip")])
LEAF = st.tuples(KIND, st.none() | FILE_NAME, st.binary(max_size=200))
TREE = st.recursive(LEAF, lambda trees: st.lists(trees, min_size=1, max_size=4), max_leaves=12)


def build(tree, top: bool = True) -> MIMEPart:
    part = EmailMessage(policy=email.policy.SMTP) if top else MIMEPart(policy=email.policy.SMTP)
    if isinstance(tree, list):
        part.make_mixed()
        for branch in tree:
            part.attach(build(branch, top=False))
    else:
        (main, sub), name, content = tree
        part.set_content(content, main, sub, filename=name, disposition="attachment" if name else None)
    return part


@settings(deadline=None, max_examples=200)
@given(TREE, st.integers(1, 200), st.booleans())
def test_it_agrees_with_the_email_package(tree, size: int, forwarded: bool) -> None:
    message = build(tree)
    if forwarded:
        outer = EmailMessage(policy=email.policy.SMTP)
        outer.set_content(message)
        message = outer
    data = message.as_bytes()
    expected = list(email.message_from_bytes(data, policy=email.policy.default).walk())
    parts = walked(data, size).parts
    assert [part.types for part in parts] == [(one.get_content_type(),) for one in expected]
    for part, one in zip(parts, expected, strict=True):
        name = one.get_filename()
        if name is not None:
            assert "".join(name.replace("\\", "/").rpartition("/")[2].lower().split()) in [
                "".join(known.split()) for known in part.names
            ]


# --- whatever a stranger sends ---------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    b"\r\n", b"--", b"--b", b"--b--", b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/rfc822",
    b"Content-Type:", b"content-disposition: x; filename*0*=", b'"', b"\\", b"'", b"%41", b"; name=", b"?=",
    b"=?utf-8?B?", b" ", b"\t", b"\xff", b"\x00", b"x" * 5000, b"=?utf-16?q?", b"\n", b"\r",
])  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=60).map(b"".join) | st.binary(max_size=300), st.integers(1, 50))
def test_nothing_raises_and_pieces_make_no_difference(data: bytes, size: int) -> None:
    whole = walked(data)
    assert walked(data, size).parts == whole.parts
    assert len(whole.parts) <= MOST_PARTS


# The argument is what there is of each.
HOSTILE = [
    lambda n: b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"--" * 125_000 * n,
    lambda n: b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"\r\n--" * 62_500 * n,
    lambda n: b"Content-Type: multipart/x; boundary=b\r\n\r\n--b" + b" " * 250_000 * n,
    lambda n: b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"--b\r\n" * 50_000 * n,
    lambda n: b"X: y\r\n" * 37_500 * n,
    lambda n: b"Content-Type: a/b" + b"; name=x" * 1000 * n,
    lambda n: b"Content-Type: a/b; name=" + b'"\\' * 3750 * n,
    lambda n: b"Content-Type: a/b; name=" + b"=?utf-8?b?" * 750 * n,
    lambda n: b"Content-Type: a/b; name=" + b"=?a" * 2500 * n,
    lambda n: b"Content-Type: a/b; name" + b" " * 7500 * n,
    lambda n: b"Content-Type: a/b" + b"; name*0*=%" * 625 * n,
    lambda n: b"Content-Disposition: x; filename=" + b"'" * 7500 * n,
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: repr(hostile(1)[-8:]))
def test_hostile_messages_take_no_long_time(hostile: Callable[[int], bytes]) -> None:
    small, large = hostile(1), hostile(8)
    assert_linear(lambda: walked(small, 32 * 1024), lambda: walked(large, 32 * 1024))
