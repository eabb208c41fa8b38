"""Bytes that are another protocol's: HTTP requests, TLS hellos, a message's header outside of DATA.

Whoever sends them is a browser led here by a web page, a proxy hunter or a lost program, never a mail server (Postfix:
smtpd_forbidden_commands).
"""

import re

from smtpgate.phases.reply import Reply

# RFC 8446 §5.1: a handshake record; its version begins with 3.
TLS_RECORD = b"\x16\x03"

NOT_SMTP = Reply(221, "7.0", "This is a mail server, it speaks SMTP only; goodbye")

_HTTP_METHOD = re.compile(rb"(?:CONNECT|GET|POST|HEAD|PUT|DELETE|OPTIONS|TRACE|PATCH|PRI) ", re.IGNORECASE)
# RFC 9112 §5, RFC 5322 §2.2: a field's name and its colon. MAIL and RCPT have a blank before theirs.
_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:(?: |\r?\n)")


def foreign_protocol(line: bytes) -> str | None:
    """Which protocol a line is of, if certainly not SMTP; None for anything that could be a mistake."""
    if line.startswith(TLS_RECORD):
        return "TLS"
    if _HTTP_METHOD.match(line):
        return "HTTP"
    if _FIELD.match(line):
        return "header field"
    return None
