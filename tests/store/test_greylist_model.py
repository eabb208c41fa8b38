"""The greylist's one SQL statement against the same in plain Python, over random histories."""

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.store.greylist import Seen, Triplet
from smtpgate.store.sqlite import open_store

# Small numbers meet often: most of what can go wrong is at "exactly then".
seconds = st.integers(0, 5).map(float)
TRIPLETS = st.sampled_from([("net", "", "r@s"), ("net", "x@y", "r@s"), ("net", "x@y", "\udcff@s")])
# Each step: how much later, or by how much the clock is set back, which triplet, and whether dead rows are deleted.
STEPS = st.lists(st.tuples(st.integers(-5, 5).map(float), TRIPLETS, st.booleans()), max_size=30)


class Model:
    """What Greylist promises."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, ...], tuple[float, float, int]] = {}

    def greylist(self, key, now, *, delay, window, lifetime) -> Seen:
        first, last, passes = self.rows.get(key, (now, now, -1))
        first = min(first, now)
        if passes < 0 or is_dead((first, last, passes), now, window, lifetime):
            first, passes = now, int(delay <= 0)
        elif passes or now - first >= delay:
            passes += 1
        self.rows[key] = (first, now, passes)
        return Seen(first, passes)

    def delete(self, now, *, delay, window, lifetime) -> None:
        self.rows = {key: row for key, row in self.rows.items() if not is_dead(row, now, window, lifetime)}


def is_dead(row, now, window, lifetime) -> bool:
    first, last, passes = row
    return now - last >= lifetime if passes > 0 else now - first >= window


def test_statement_and_model_agree(tmp_path):
    examples = itertools.count()
    with asyncio.Runner() as runner:
        store = open_store(f"sqlite:///{tmp_path}/smtpgate.db")

        @settings(deadline=None, max_examples=300)
        @given(delay=seconds, window=seconds, lifetime=seconds, steps=STEPS)
        def agree(delay, window, lifetime, steps):
            example, model, now = next(examples), Model(), 0.0
            options = {"delay": delay, "window": window, "lifetime": lifetime}

            async def run():
                nonlocal now
                for later, (client, sender, recipient), delete in steps:
                    now += later
                    if delete:
                        await store.delete_before(record_at=0.0, greylist_at=now, delivered_at=0.0)
                        model.delete(now, **options)
                    triplet = Triplet(f"{example} {client}", sender, recipient)
                    expected = model.greylist(triplet, now, **options)
                    assert await store.greylist(triplet, now, **options) == expected

            runner.run(run())

        agree()
        runner.run(store.close())
