"""People read words, not the system's numbers."""

import errno
import socket

import pytest

from smtpgate.system_error import in_words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OSError(errno.ENOENT, "No such file or directory", "a/b"), "No such file or directory: 'a/b'"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (OSError("Two: [Errno 111] Refused, [Errno 113] No route"), "Two: Refused, No route"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("other words"), "other words"),
    ],
)  # fmt: skip
def test_in_words(error: Exception, words: str) -> None:
    assert in_words(error) == words
