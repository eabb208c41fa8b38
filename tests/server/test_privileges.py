"""Becoming another user. In a child process: there is no way back."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from smtpgate.server.privileges import PrivilegeError, become_server, drop_privileges


def in_child(become: Callable[..., None], *who: object) -> str:
    """The user and group ids, and the groups, of a child that became somebody else; or why it could not."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(*who)
            said = f"{os.getresuid()} {os.getresgid()} {os.getgroups()}"
        except PrivilegeError as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    groups = os.getgrouplist("nobody", nobody.pw_gid)
    assert in_child(drop_privileges, "nobody") == f"{(nobody.pw_uid,) * 3} {(nobody.pw_gid,) * 3} {groups}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_cannot_become_root() -> None:
    def as_nobody() -> None:
        drop_privileges("nobody")
        with pytest.raises(PrivilegeError, match=r"^cannot become user root: .*"):
            drop_privileges("root")

    pid = os.fork()
    if pid == 0:
        try:
            as_nobody()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("path", ["there", "there/store.db", "there/var/store.db"])
def test_root_becomes_who_serves(path: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    os.chown(tmp_path / "there", 4321, 8765)
    assert in_child(become_server, "nobody", tmp_path / path) == in_child(drop_privileges, "nobody")
    assert in_child(become_server, "", tmp_path / path) == "(4321, 4321, 4321) (8765, 8765, 8765) []"
    assert in_child(become_server, "nosuchuser", tmp_path / path) == "there is no user nosuchuser"


def test_where_root_serves_nothing_changes(tmp_path: Path) -> None:
    before = os.getresuid(), os.getgroups()
    become_server("", tmp_path / "store.db")
    assert (os.getresuid(), os.getgroups()) == before


def test_nothing_to_do() -> None:
    before = os.getresuid(), os.getgroups()
    drop_privileges("")
    drop_privileges(pwd.getpwuid(os.geteuid()).pw_name)
    assert (os.getresuid(), os.getgroups()) == before


def test_an_unknown_user() -> None:
    with pytest.raises(PrivilegeError, match="there is no user nosuchuser"):
        drop_privileges("nosuchuser")
