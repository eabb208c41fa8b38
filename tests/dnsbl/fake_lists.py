"""DNS lists that behave well, or badly in one way each."""

import asyncio
from collections.abc import Callable

from smtpgate.dns.resolver import Answer, RecordType, Status
from tests.fakes import FakeDns

# What is asked in front of the zone → the addresses that are answered, or None if nobody knows.
Behaviour = Callable[[str], list[str] | None]

TEST_ENTRIES = {"2.0.0.127", "2.0.0.0.0.0.f.7.f.f.f.f." + "0." * 19 + "0", "test"}


def good(*listed: str, code: str = "127.0.0.2") -> Behaviour:
    return lambda label: [code] if label in TEST_ENTRIES or label in listed else []


def everything(label: str) -> list[str]:
    return ["127.0.0.2"]


def parked(label: str) -> list[str]:
    return ["198.51.100.80"]


def refusing(label: str) -> list[str]:
    return ["127.255.255.254"]


def empty(label: str) -> list[str]:
    return []


def silent(label: str) -> None:
    return None


def sly(label: str) -> list[str]:
    """Lists everything but what everybody tests."""
    return [] if label in ("1.0.0.127", "1.0.0.0.0.0.f.7.f.f.f.f." + "0." * 19 + "0", "invalid") else ["127.0.0.2"]


BEHAVIOURS = {function.__name__: function for function in (everything, parked, refusing, empty, silent, sly)}


class ListDns:
    """A resolver of lists. zones: how each behaves, to be changed at will. asked: what was, in order."""

    def __init__(self, **zones: Behaviour) -> None:
        self.zones = {f"{name}.example": behaviour for name, behaviour in zones.items()}
        self.asked: list[str] = []
        self.held: asyncio.Event | None = None

    async def query(self, name: str, kind: RecordType) -> Answer:
        zone = next(zone for zone in self.zones if name.endswith("." + zone))
        label = name.removesuffix("." + zone)
        self.asked.append(label)
        if self.held is not None:
            await self.held.wait()
        addresses = self.zones[zone](label)
        if addresses is None:
            return Answer(name, kind, Status.FAILURE, detail="timed out")
        return await FakeDns(A={name: addresses} if addresses else {}).query(name, kind)
