"""The code of a refusal, where Postfix has a parameter for it."""

from dataclasses import dataclass
from typing import Any

from smtpgate.phases.rule import option


def reject_code(value: Any) -> int:
    """A whole number from 400 to 599."""
    if not isinstance(value, int) or isinstance(value, bool) or not 400 <= value <= 599:
        raise ValueError("the code of a refusal, such as 450 or 550")
    return value


@dataclass(frozen=True, slots=True)
class RejectCode:
    """The option of rules that answer 450 unless told otherwise: the client keeps trying for days."""

    code: int = option(reject_code, 450, "of the refusal, such as 550; a failure of the DNS stays 450")
