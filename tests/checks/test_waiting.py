"""sleep."""

import pytest

from tests.checks.asking import ask, context, facts


@pytest.mark.parametrize("seconds", [1, 20, "1", "20"])
async def test_sleep(seconds: int | str, waits: list[float]) -> None:
    verdict = await ask("sleep", facts(), context(), seconds=seconds)
    assert verdict.action.value == "dunno"
    assert waits == [int(seconds)]


@pytest.mark.parametrize("silly", [0, 21, -1, 1.5, True, "0", "-1", "1e1", "1 s", "٣", "", None])
async def test_what_it_does_not_take(silly: object) -> None:
    with pytest.raises(ValueError, match="whole seconds from 1 to 20"):
        await ask("sleep", facts(), context(), seconds=silly)
