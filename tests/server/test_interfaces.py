"""The machine's own addresses, from what Linux writes about them."""

import ipaddress
from pathlib import Path

from smtpgate.server.interfaces import own_addresses

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 192.0.2.0
        /24 link UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
Local:
     |-- 192.0.2.2
        /32 host LOCAL
"""
IF_INET6 = """\
20010db8000000000000000000000002 04 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_what_linux_tells(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    assert sorted(map(str, own_addresses(tmp_path))) == ["127.0.0.1", "192.0.2.2", "2001:db8::2", "::1"]


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    assert own_addresses(tmp_path) == frozenset()


def test_this_machine() -> None:
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()
