"""From the downstream's answers to the one reply that the client gets."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from smtpgate.phases.reply import Reply
from smtpgate.relay.downstream import RelayReply
from smtpgate.smtp.redelivery import ALREADY

PARTIAL = Reply(451, "3.0", "Some recipients were not accepted, please try again later")
# The client's own line; the downstream's text must leave room for codes and reference.
_LONGEST_TEXT = 300
# For the user who reads the notice that his server makes of a final refusal: it names all recipients.
_OTHERS_HAVE_IT = "; the other recipients have the message"


@lru_cache(maxsize=256)  # most answers to RCPT are alike
def passed_on(answer: RelayReply) -> Reply:
    """The downstream's answer as our reply: its codes, its text made safe.

    An answer that is neither 2xx, 4xx nor 5xx, or whose enhanced code contradicts its code, is mended.
    """
    code = answer.code if answer.code // 100 in (2, 4, 5) else 451
    if code // 100 == 2:
        code = 250
    detail = "0.0"
    enhanced = (answer.enhanced or "").split(".", 1)
    if len(enhanced) == 2 and enhanced[0] == str(code // 100):
        detail = enhanced[1]
    return Reply(code, detail, answer.text[:_LONGEST_TEXT] or "Ok")


def combine(answers: Sequence[RelayReply]) -> Reply:
    """One reply for all recipients (LMTP answers for each).

    All took it: the first answer. None did: the worst, which is a 4xx if there is one, because only then does the
    client try again for those who may still get it. Mixed: 451, and the client tries again; unless it did so already,
    and all who lack the message were refused for good again: that is final, a further trial would change nothing.
    """
    if len(answers) == 1:
        return passed_on(answers[0])
    taken = [answer for answer in answers if answer.is_positive]
    if answers and len(taken) == len(answers):
        return passed_on(answers[0])
    refused = [answer for answer in answers if not answer.is_positive]
    if any(answer is ALREADY for answer in taken) and all(answer.code >= 500 for answer in refused):
        final = passed_on(refused[0])
        return replace(final, text=final.text + _OTHERS_HAVE_IT)
    if taken or not answers:
        return PARTIAL
    return passed_on(next((answer for answer in answers if answer.code < 500), answers[0]))
