"""From root to a user who may do nothing but serve."""

import os
import pwd
from pathlib import Path


class PrivilegeError(Exception):
    """The user cannot be changed; the text says why."""


def drop_privileges(user: str) -> None:
    """Become this user for good, with his groups; "" changes nothing. Raises PrivilegeError."""
    if not user:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(f"there is no user {user}") from None
    if os.geteuid() == entry.pw_uid:
        return
    try:
        # In this order: who is no longer root may not change his groups.
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except OSError as error:
        raise PrivilegeError(f"cannot become user {user}: {error.strerror}") from error


def become_server(user: str, path: Path) -> None:
    """As root: become the user who serves, for good, so that whatever is made from now on is his.

    user: [server] user. If "", it is who owns the path, or else the directory in which it will be: systemd's User= may
    have made him. Raises PrivilegeError.
    """
    if os.geteuid() != 0:
        return
    if user:
        drop_privileges(user)
        return
    there = next(found for found in (path, *path.absolute().parents) if found.exists()).stat()
    if there.st_uid:
        os.setgroups([])
        os.setgid(there.st_gid)
        os.setuid(there.st_uid)
