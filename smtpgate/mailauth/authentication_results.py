"""The Authentication-Results header field (RFC 8601): our own emitter, and the removal of forged fields."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method's result, such as spf=fail smtp.mailfrom=example.org.

    properties: pairs such as ("smtp.mailfrom", "user@example.org"), in the order of output.
    """

    method: str
    result: str
    reason: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
