"""Questions and answers as they are on the wire: lines of name=value, and an empty line. No input or output is done
here.
"""

import re
from collections.abc import Iterable

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Postfix has no bound for all of an answer; a header field to prepend is the longest that anybody sends.
MAX_ANSWER = 16384


class Nonsense(Exception):
    """What came in is no answer. The connection is of no use afterwards."""


def question(attributes: Iterable[tuple[str, str]]) -> bytes:
    """A question. What a stranger put into a value cannot end its line: control characters become "?"."""
    lines = [f"{name}={_UNSAFE.sub('?', value)}\n" for name, value in attributes]
    return "".join([*lines, "\n"]).encode("utf-8", "replace")


class AnswerReader:
    """Collects an answer. rest: what came behind it, which nobody asked for."""

    __slots__ = ("_data", "rest")

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""

    def feed(self, data: bytes) -> str | None:
        """Take what was received; the action, once the answer is whole. Raises Nonsense."""
        self._data += data
        end = _END.search(self._data)
        if len(self._data if end is None else self._data[: end.end()]) > MAX_ANSWER:
            raise Nonsense(f"an answer of more than {MAX_ANSWER} octets")
        if end is None:
            return None
        self.rest = self._data[end.end() :]
        return _action(self._data[: end.start()])


# An empty line; Postfix sends and expects LF alone, some services send CR LF.
_END = re.compile(rb"(?:\A|\n)\r?\n")


def _action(answer: bytes) -> str:
    """The value of "action"; other attributes are for later versions of the protocol."""
    try:
        lines = [line.removesuffix("\r").partition("=") for line in answer.decode().split("\n")]
    except UnicodeDecodeError:
        raise Nonsense("an answer that is not UTF-8") from None
    if not all(equals for _, equals, _ in lines):
        raise Nonsense(f"not name=value: {answer[:80]!r}")
    action = next((value.strip() for name, _, value in lines if name.strip() == "action"), "")
    if not action:
        raise Nonsense(f"no action: {answer[:80]!r}")
    return action
