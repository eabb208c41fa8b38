"""What the system says, for people: in words, without the error's number."""

import re

_NUMBER = re.compile(r"\[Errno -?[0-9]+\] ")


def in_words(error: Exception) -> str:
    """What is wrong, and with which file if it is about one; for an OSError that holds several, each of them."""
    return _NUMBER.sub("", str(error)) or type(error).__name__
