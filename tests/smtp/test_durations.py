"""The wall clock is set while the server runs: nothing that counts seconds may notice."""

from tests.fakes import Clock
from tests.harness import PLAIN, serving


async def test_how_long_a_transaction_took_does_not_depend_on_the_wall_clock() -> None:
    async with serving(PLAIN) as gate, gate.client() as client:
        wall = gate.services.clock = Clock(2_000_000_000.0)
        await client.greet()
        await client.ask("MAIL FROM:<me@example.com>")
        wall.advance(-3600)
        gate.clock.advance(2)
        await client.ask("RSET")
        [record] = gate.records
        assert (record.at, record.ms) == (2_000_000_000.0, 2000.0)
