"""From root to a user who may do nothing but serve."""

import os
import pwd


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
