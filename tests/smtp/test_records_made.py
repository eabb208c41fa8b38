"""How many records a session makes: each costs, and most would say nothing."""

import pytest

from smtpgate.record import Record
from smtpgate.smtp import reception
from tests.harness import PLAIN, serving
from tests.smtp.talking import BODY

LOOKS_UP_AT_ONCE = """
[phases]
rcpt = ["permit_mynetworks", "reject_unauth_destination", "reject_rbl_client list.example"]
"""


@pytest.mark.parametrize("config", [PLAIN, LOOKS_UP_AT_ONCE])
async def test_each_transaction_makes_one_and_nothing_else_does(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Record] = []

    def make(*args: object, **kwargs: object) -> Record:
        records.append(Record(*args, **kwargs))  # type: ignore[arg-type]
        return records[-1]

    monkeypatch.setattr(reception, "Record", make)
    async with serving(config) as gate, gate.client() as client:
        await client.greet()
        for _ in range(2):
            assert (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
    assert len(records) == 2
    assert records == gate.records
