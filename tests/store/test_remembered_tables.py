"""The memory before the access tables of the store."""

from collections.abc import Mapping, Sequence

from smtpgate.store.entries import MOST_KEYS, REMEMBERED, RememberedTables
from tests.fakes import Clock


class Tables:
    """Every key leads to OK. asked: how often."""

    def __init__(self) -> None:
        self.asked = 0

    async def entries(self, name: str, keys: Sequence[str]) -> Mapping[str, str]:
        self.asked += 1
        return dict.fromkeys(keys, "OK")


async def test_an_answer_is_remembered_for_a_while() -> None:
    tables, clock = Tables(), Clock()
    remembering = RememberedTables(tables, clock)
    for _ in range(2):
        assert await remembering.entries("friends", ["a", "b"]) == {"a": "OK", "b": "OK"}
    assert tables.asked == 1
    await remembering.entries("foes", ["a", "b"])
    clock.advance(REMEMBERED)
    await remembering.entries("friends", ["a", "b"])
    assert tables.asked == 3


async def test_what_strangers_ask_for_does_not_fill_the_memory() -> None:
    """A sender whose mail servers have many names is a question of thousands of keys."""
    tables = Tables()
    remembering = RememberedTables(tables, Clock())
    await remembering.entries("friends", ["first"])
    for number in range(200):
        await remembering.entries("friends", [f"{number}.{key}.example" for key in range(1000)])
    assert sum(len(question) for question in remembering._answers) <= MOST_KEYS
    assert len(remembering._answers) >= MOST_KEYS // 1001
    await remembering.entries("friends", ["first"])
    await remembering.entries("friends", [f"199.{key}.example" for key in range(1000)])
    assert tables.asked == 202  # the oldest was forgotten, the newest was not


async def test_one_question_may_be_too_much_to_remember() -> None:
    remembering = RememberedTables(Tables(), Clock())
    for _ in range(2):
        assert len(await remembering.entries("friends", [str(key) for key in range(MOST_KEYS)])) == MOST_KEYS
    assert not remembering._answers
    assert await remembering.entries("friends", ["a"]) == {"a": "OK"}
