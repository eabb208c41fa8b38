"""Our decoder against dnspython's, and against everything that is not DNS."""

import contextlib

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.dns.outcome import read_answer
from smtpgate.dns.wire import CODES, QUESTION, FormatError, read_authority, read_records, spell, write_query

labels = st.binary(min_size=1, max_size=20)
names = st.lists(labels, min_size=0, max_size=6).map(lambda some: dns.name.Name((*some, b"")))
texts = st.lists(st.binary(max_size=255), min_size=1, max_size=4)
kinds = st.sampled_from(sorted(CODES))
possible = st.from_regex(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,20}){0,5}", fullmatch=True)


def spelt_plainly(name, kind):
    return spell(name, kind, b"")


def question_for(name, kind):
    return write_query(b"\x12\x34", spelt_plainly(name, kind), True)


def records_in(packet, spelt, name, kind):
    """The answers, and where they end."""
    return read_records(packet, QUESTION + len(spelt), int.from_bytes(packet[6:8]), name, CODES[kind])


def spelt(name):
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


@given(possible, kinds)
def test_dnspython_reads_our_questions(name, kind):
    message = dns.message.from_wire(question_for(name, kind))
    (question,) = message.question
    assert (message.id, spelt(question.name), question.rdtype) == (0x1234, name, dns.rdatatype.from_text(kind))


@given(possible, st.lists(st.tuples(names, names), min_size=1, max_size=20))
def test_we_read_the_names_that_dnspython_writes(name, pairs):
    response = dns.message.make_response(dns.message.from_wire(question_for(name, "PTR")))
    for owner, target in pairs:
        response.answer.append(dns.rrset.from_rdata(owner, 60, ptr(target)))
    records, _ = records_in(response.to_wire(max_size=65_535), spelt_plainly(name, "PTR"), name, "PTR")
    assert [(owner, value) for owner, _, _, value in records] == [
        (spelt(owner), spelt(target)) for owner, target in pairs
    ]


def ptr(target):
    return dns.rdtypes.ANY.PTR.PTR(dns.rdataclass.IN, dns.rdatatype.PTR, target)


@given(texts)
def test_we_read_the_texts_that_dnspython_writes(strings):
    response = dns.message.make_response(dns.message.from_wire(question_for("d.example", "TXT")))
    rdata = dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
    response.answer.append(dns.rrset.from_rdata("d.example.", 60, rdata))
    records, _ = records_in(response.to_wire(max_size=65_535), spelt_plainly("d.example", "TXT"), "d.example", "TXT")
    assert [value for _, _, _, value in records] == [b"".join(strings)]


@given(st.binary(max_size=600))
def test_any_octets_are_read_or_refused(octets):
    with contextlib.suppress(FormatError):
        read_answer(octets, spelt_plainly("d.example", "A"), "d.example", "A")


@given(st.binary(max_size=600), st.integers(0, 9), st.integers(0, 9), kinds)
def test_any_records_are_read_or_refused(octets, answers, authorities, kind):
    spelt = spelt_plainly("d.example", kind)
    header = b"\x12\x34\x80\0\0\1" + bytes((0, answers, 0, authorities, 0, 0))
    with contextlib.suppress(FormatError):
        read_answer(header + spelt + octets, spelt, "d.example", kind)


@given(st.data())
def test_a_damaged_answer_is_read_or_refused(data):
    kind = data.draw(kinds)
    spelt = spelt_plainly("d.example", kind)
    response = dns.message.make_response(dns.message.from_wire(question_for("d.example", kind)))
    for line in ("CNAME e.example.", "MX 10 mx.d.example.", "SOA ns.example. root.example. 1 2 3 4 5", "TXT a b"):
        for section in (response.answer, response.authority):
            section.append(dns.rrset.from_text("d.example.", 60, "IN", *line.split(" ", 1)))
    octets = bytearray(response.to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(QUESTION + len(spelt), len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        read_answer(bytes(octets), spelt, "d.example", kind)


@pytest.mark.parametrize(("ttl", "read"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**32 - 1, 0)])
def test_a_ttl_with_the_highest_bit_is_zero(ttl, read):
    spelt = spelt_plainly("d.example", "A")
    record = b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4, "big") + b"\0\4\xc0\0\2\1"
    packet = b"\x12\x34\x80\0\0\1\0\1\0\0\0\0" + spelt + record
    assert read_answer(packet, spelt, "d.example", "A").ttl == read


@given(names, names, names, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_the_authority_says_how_long_a_name_does_not_exist(zone, host, mailbox, ttl, minimum):
    question = question_for("d.example", "A")
    response = dns.message.make_response(dns.message.from_wire(question))
    soa = dns.rdtypes.ANY.SOA.SOA(dns.rdataclass.IN, dns.rdatatype.SOA, host, mailbox, 1, 2, 3, 4, minimum)
    response.authority.append(dns.rrset.from_text(zone, 7, "IN", "NS", "ns.example."))
    response.authority.append(dns.rrset.from_rdata(zone, ttl, soa))
    response.authority.append(dns.rrset.from_text(zone, 3, "IN", "TXT", "behind it"))
    at = QUESTION + len(spelt_plainly("d.example", "A"))
    assert read_authority(response.to_wire(), at, 3) == {
        CODES["NS"]: 7,
        CODES["SOA"]: min(ttl, minimum),
        CODES["TXT"]: 3,
    }


def answer_with(kind, data):
    spelt = spelt_plainly("d.example", kind)
    record = b"\xc0\x0c" + bytes((0, CODES[kind], 0, 1, 0, 0, 0, 60)) + len(data).to_bytes(2, "big") + data
    return b"\x12\x34\x80\0\0\1\0\1\0\0\0\0" + spelt + record, spelt, "d.example", kind


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("PTR", b"\1a\0x"),
        ("PTR", b"\1a"),
        ("PTR", b""),
        ("PTR", b"\x40" + b"a" * 64 + b"\0"),
        ("PTR", (b"\x3f" + b"a" * 63) * 4 + b"\0"),
        ("MX", b"\0"),
        ("MX", b"\0\1\1a\0x"),
        ("TXT", b"\5a"),
        ("A", b"\xc0\0\2"),
        ("AAAA", b"\xc0\0\2\1"),
        ("SOA", b"\1a\0\1b\0" + bytes(19)),
    ],
)
def test_malformed_records_are_refused(kind, data):
    with pytest.raises(FormatError):
        read_answer(*answer_with(kind, data))


def test_the_longest_name_is_read():
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    [host] = read_answer(*answer_with("PTR", name)).records
    assert len(host) == 253


@pytest.mark.parametrize(("pointers", "is_read"), [(126, True), (127, False)])  # and the one that leads there
def test_a_name_of_pointers_to_pointers_is_not_followed_for_ever(pointers, is_read):
    # Behind the header, the question (16 octets) and the owner, type, class, TTL and length of the first record (12).
    start = 12 + 15 + 12
    chain = b"\0" + b"".join(
        (0xC000 | (start if number == 0 else start + 2 * number - 1)).to_bytes(2, "big") for number in range(pointers)
    )
    last = (0xC000 | (start + 2 * pointers - 1)).to_bytes(2, "big")
    spelt = spelt_plainly("d.example", "PTR")
    first = b"\xc0\x0c\xff\0\0\1\0\0\0\x3c" + len(chain).to_bytes(2, "big") + chain
    record = b"\xc0\x0c\0\x0c\0\1\0\0\0\x3c\0\2" + last
    packet = b"\x12\x34\x80\0\0\1\0\2\0\0\0\0" + spelt + first + record
    if is_read:
        assert read_answer(packet, spelt, "d.example", "PTR").records == ("",)
    else:
        with pytest.raises(FormatError):
            read_answer(packet, spelt, "d.example", "PTR")


@pytest.mark.parametrize("name", ["d.example", "a b.example", r"a\b.example"])
@pytest.mark.parametrize("compresses", [True, False])
def test_the_owner_of_an_answer_is_known_however_it_is_written(name, compresses):
    spelt = spelt_plainly(name, "A")
    owner = b"\xc0\x0c" if compresses else spelt[:-4].upper()
    packet = b"\x12\x34\x80\0\0\1\0\1\0\0\0\0" + spelt + owner + b"\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    assert [str(address) for address in read_answer(packet, spelt, name, "A").records] == ["192.0.2.1"]
