"""What the state is after each command, right or wrong: RFC 5321 §4.1.4, RFC 3030 §2."""

import asyncio
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smtpgate.relay.downstream import RelayReply
from smtpgate.smtp.limits import DialogLimits
from tests.fakes import FakeDownstream
from tests.harness import Client, serving

# What is played: the words of the table below, and of the model. DATA's content goes out if it is asked for.
COMMANDS = {
    "HELO": b"HELO client.example.net\r\n",
    "EHLO": b"EHLO client.example.net\r\n",
    "EHLO?": b"EHLO\r\n",
    "MAIL": b"MAIL FROM:<me@example.net>\r\n",
    "MAIL?": b"MAIL FROM:me@example.net>\r\n",
    "MAIL-parameter?": b"MAIL FROM:<me@example.net> FOO=1\r\n",
    "MAIL-large": b"MAIL FROM:<me@example.net> SIZE=1001\r\n",
    "MAIL-refused": b"MAIL FROM:<me@host>\r\n",
    "RCPT": b"RCPT TO:<you@example.org>\r\n",
    "RCPT?": b"RCPT TO:<you@>\r\n",
    "RCPT-refused": b"RCPT TO:<you@elsewhere.example>\r\n",
    "RCPT-unknown": b"RCPT TO:<unknown@example.org>\r\n",
    "DATA": b"DATA\r\n",
    "DATA-bare": b"DATA\r\n",
    "DATA-large": b"DATA\r\n",
    "DATA?": b"DATA now\r\n",
    "BDAT": b"BDAT 6\r\nQUIT\r\n",
    "BDAT-empty": b"BDAT 0\r\n",
    "BDAT-bare": b"BDAT 6\r\nQUIT\n\n",
    "BDAT-large": b"BDAT 1500\r\n" + b"QUIT\r\n" * 250,
    "BDAT-last": b"BDAT 6 LAST\r\nRSET\r\n",
    "BDAT-end": b"BDAT 0 LAST\r\n",
    "RSET": b"RSET\r\n",
    "RSET?": b"RSET now\r\n",
    "NOOP": b"NOOP\r\n",
    "VRFY": b"VRFY you\r\n",
    "HELP": b"HELP\r\n",
    "QUIT?": b"QUIT now\r\n",
    "STARTTLS": b"STARTTLS\r\n",
    "FROB": b"FROB\r\n",
    "bare": b"RSET\n",
    "long": b"RSET " + b"x" * 3000 + b"\r\n",
    "NUL": b"RSET\0\r\n",
}
CONTENTS = {
    "DATA": b"QUIT\r\n.\r\n",
    "DATA-bare": b"x\n.\nRSET\r\n.\r\n",
    "DATA-large": b"QUIT\r\n" * 250 + b".\r\n",
}
PATIENT = DialogLimits(
    message_size=1000, soft_error_limit=10**6, hard_error_limit=10**6, junk_command_limit=10**6, client_connections=0
)
CONFIG = """
delay_reject = false
[phases]
mail = ["reject_non_fqdn_sender"]
rcpt = ["reject_unauth_destination"]
"""

STATES = [
    # before EHLO
    ("MAIL RCPT DATA BDAT-last NOOP RSET VRFY", "503 503 503 503 250 250 252"),
    ("EHLO? MAIL EHLO MAIL", "501 503 250 250"),
    ("HELO MAIL RCPT BDAT-last", "250 250 250 250"),
    # a refused MAIL begins nothing, a second one changes nothing
    ("EHLO MAIL? RCPT MAIL-large RCPT MAIL-refused RCPT MAIL-parameter? RCPT", "250 501 503 552 503 504 503 555 503"),
    ("EHLO MAIL MAIL RCPT MAIL? DATA RCPT", "250 250 503 250 503 250 503"),
    # a refused RCPT changes nothing
    ("EHLO MAIL RCPT? DATA RCPT DATA", "250 250 501 554 250 250"),
    ("EHLO MAIL RCPT-refused DATA RCPT-unknown DATA RCPT DATA", "250 250 554 554 550 554 250 250"),
    ("EHLO MAIL RCPT-refused RCPT BDAT-last", "250 250 554 250 250"),
    # mistakes change nothing
    ("EHLO MAIL RCPT FROB bare long NUL RSET? QUIT? DATA? DATA", "250 250 250 500 500 500 500 501 501 501 250"),
    ("EHLO MAIL RCPT STARTTLS DATA", "250 250 250 502 250"),
    ("EHLO MAIL RCPT EHLO? DATA", "250 250 250 501 250"),
    ("EHLO MAIL RCPT NOOP VRFY HELP DATA", "250 250 250 250 252 214 250"),
    # RSET and EHLO end the transaction, and nothing else
    ("EHLO MAIL RCPT RSET RCPT DATA BDAT-last MAIL RCPT DATA", "250 250 250 250 503 503 503 250 250 250"),
    ("EHLO MAIL RCPT EHLO RCPT DATA MAIL", "250 250 250 250 503 503 250"),
    ("EHLO MAIL RCPT HELO RCPT DATA MAIL", "250 250 250 250 503 503 250"),
    # so does a message, taken or not
    ("EHLO MAIL RCPT DATA RCPT DATA BDAT-last MAIL", "250 250 250 250 503 503 503 250"),
    ("EHLO MAIL RCPT DATA-bare RCPT DATA MAIL RCPT DATA", "250 250 250 550 503 503 250 250 250"),
    ("EHLO MAIL RCPT DATA-large RCPT BDAT-last MAIL RCPT BDAT-last", "250 250 250 552 503 503 250 250 250"),
    # chunks
    ("EHLO MAIL RCPT BDAT BDAT-empty BDAT-last RCPT MAIL", "250 250 250 250 250 250 503 250"),
    ("EHLO MAIL RCPT BDAT BDAT-end BDAT-end", "250 250 250 250 250 503"),
    ("EHLO MAIL RCPT BDAT DATA RCPT MAIL NOOP FROB BDAT-last", "250 250 250 250 503 503 503 250 500 250"),
    ("EHLO MAIL RCPT BDAT RSET BDAT BDAT-last MAIL RCPT DATA", "250 250 250 250 250 503 503 250 250 250"),
    ("EHLO MAIL RCPT BDAT EHLO BDAT-last MAIL RCPT BDAT-last", "250 250 250 250 250 503 250 250 250"),
    ("EHLO MAIL RCPT BDAT BDAT-bare BDAT-last RCPT MAIL", "250 250 250 250 550 503 503 250"),
    ("EHLO MAIL RCPT BDAT-large BDAT-last DATA MAIL", "250 250 250 552 503 503 250"),
    ("EHLO MAIL BDAT RCPT BDAT-last MAIL", "250 250 554 503 503 250"),
    ("EHLO MAIL RCPT-refused BDAT BDAT-last RCPT MAIL", "250 250 554 554 503 503 250"),
]  # fmt: skip


async def play(client: Client, word: str) -> str:
    """The reply to one word; for a message that was asked for, the last one."""
    reply = await client.ask(COMMANDS[word])
    return await client.ask(CONTENTS[word]) if reply.startswith("354") else reply


def downstream() -> FakeDownstream:
    return FakeDownstream(recipient={"unknown@example.org": RelayReply(550, "5.1.1", "Unknown")})


@pytest.mark.parametrize(("words", "codes"), STATES)
async def test_states(words: str, codes: str) -> None:
    async with serving(CONFIG, limits=PATIENT, downstream=downstream()) as gate, gate.client() as client:
        await client.reply()
        replies = [await play(client, word) for word in words.split()]
        assert " ".join(reply.splitlines()[-1][:3] for reply in replies) == codes
        assert (await client.ask("QUIT")).startswith("221 ")


class Model:
    """The state as the RFCs have it, said as plainly as possible."""

    def __init__(self) -> None:
        self.greeted = False
        self.mail = False
        self.recipients = 0
        self.chunks: bytes | None = None
        self.messages: list[bytes] = []

    def reset(self) -> None:
        self.mail, self.recipients, self.chunks = False, 0, None

    def __call__(self, word: str) -> str:
        """The code of the reply to a word."""
        verb = word.partition("-")[0]
        match verb:
            case "HELO" | "EHLO":
                self.greeted = True
                self.reset()
                return "250"
            case "MAIL" | "MAIL?":
                return self._mail(word)
            case "RCPT" | "RCPT?":
                return self._rcpt(word)
            case "DATA" | "DATA?":
                return self._data(word)
            case "BDAT":
                return self._bdat(word)
            case "RSET":
                self.reset()
        simple = {"EHLO?": "501", "RSET": "250", "RSET?": "501", "NOOP": "250", "VRFY": "252", "HELP": "214"}
        return (simple | {"QUIT?": "501", "STARTTLS": "502"}).get(word, "500")

    def _mail(self, word: str) -> str:
        if not self.greeted or self.mail:
            return "503"
        code = {"MAIL?": "501", "MAIL-parameter?": "555", "MAIL-large": "552", "MAIL-refused": "504"}.get(word, "250")
        self.mail = code == "250"
        return code

    def _rcpt(self, word: str) -> str:
        if not self.mail or self.chunks is not None:
            return "503"
        code = {"RCPT?": "501", "RCPT-refused": "554", "RCPT-unknown": "550"}.get(word, "250")
        self.recipients += code == "250"
        return code

    def _data(self, word: str) -> str:
        if not self.mail or self.chunks is not None:
            return "503"
        if not self.recipients:
            return "554"
        if word == "DATA?":
            return "501"
        return self._end(b"QUIT\r\n", {"DATA-bare": "550", "DATA-large": "552"}.get(word, "250"))

    def _bdat(self, word: str) -> str:
        if not self.mail:
            return "503"
        if not self.recipients:
            code = "554"
            self.reset()
            return code
        octets = COMMANDS[word].partition(b"\r\n")[2]
        content = (self.chunks or b"") + octets
        if b"\n\n" in octets or len(content) > PATIENT.message_size:
            return self._end(content, "552" if len(content) > PATIENT.message_size else "550")
        if word in ("BDAT-last", "BDAT-end"):
            return self._end(content, "250")
        self.chunks = content
        return "250"

    def _end(self, content: bytes, code: str) -> str:
        if code == "250":
            self.messages.append(content)
        self.reset()
        return code


LIKELY = ["MAIL", "RCPT", "DATA", "BDAT", "BDAT-last"]
WORDS = st.lists(st.sampled_from([*COMMANDS, *LIKELY * 4]), max_size=25)


@settings(max_examples=150)
@given(st.sampled_from([[], ["EHLO"], ["EHLO", "MAIL", "RCPT"]]), WORDS)
@example(["EHLO"], ["MAIL", "RCPT-refused", "BDAT", "MAIL", "RCPT", "BDAT", "DATA", "BDAT-bare", "BDAT-last", "DATA"])
def test_the_dialog_does_what_the_model_does(start: list[str], words: list[str]) -> None:
    async def compare() -> None:
        async with serving(CONFIG, limits=PATIENT, downstream=downstream()) as gate, gate.client() as client:
            model = Model()
            await client.reply()
            for word in [*start, *words]:
                reply = await play(client, word)
                assert reply.splitlines()[-1][:3] == model(word), word
            assert (await client.ask("QUIT")).startswith("221 ")
            sent = [message.content for message in gate.downstream.messages]
            assert len(sent) == len(model.messages)
            for got, wanted in zip(sent, model.messages, strict=True):
                assert re.fullmatch(rb"Received: [^;]*;[^\r]*\r\n\t[^\r]*\r\n" + re.escape(wanted), got), got

    asyncio.run(compare())
