"""What was found out about addresses, in memory and in the store, and when it must be found out again."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smtpgate.phases.facts import Address
from smtpgate.phases.verification import Finding, Verification
from smtpgate.store.greylist import StoreError
from smtpgate.store.verified import Kind, Verified, VerifiedAddresses

log = logging.getLogger(__name__)

_DAY, _HOUR = 86400.0, 3600.0
_IN_MEMORY = 10_000
_LONGEST_REASON = 250

Probe = Callable[[Address], Awaitable[Verification]]


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long an answer holds, and when it is asked for anew behind the scenes, in seconds.

    The defaults are Postfix's (address_verify_*). wait: how long a client waits for a new answer (3 polls of 3 s).
    """

    positive_expire: float = 31 * _DAY
    positive_refresh: float = 7 * _DAY
    negative_expire: float = 3 * _DAY
    negative_refresh: float = 3 * _HOUR
    wait: float = 9.0

    def expire(self, known: Verified) -> float:
        """How old it may become."""
        return self.positive_expire if known.deliverable else self.negative_expire

    def refresh(self, known: Verified) -> float:
        """How old it may become before it is asked for again."""
        return self.positive_refresh if known.deliverable else self.negative_refresh


class RememberingVerifier:
    """An AddressVerifier. kind: of address, as the store calls it. probe: finds out. most: probes at one time.

    Who asks about the same address at the same time shares one probe, which goes on when nobody waits for it any more.
    What could not be found out is not remembered.
    """

    def __init__(
        self,
        kind: Kind,
        probe: Probe,
        store: VerifiedAddresses,
        clock: Callable[[], float],
        *,
        lifetimes: Lifetimes | None = None,
        most: int = 100,
    ) -> None:
        self._kind = kind
        self._probe = probe
        self._store = store
        self._clock = clock
        self._lifetimes = lifetimes or Lifetimes()
        self._most = most
        self._memory: OrderedDict[str, Verified] = OrderedDict()
        self._probes: dict[str, asyncio.Task[Verification]] = {}

    async def verify(self, address: Address) -> Verification:
        """What is known, or can be found out soon (AddressVerifier)."""
        key = f"{address.local}@{address.domain}"
        known = await self._known(key)
        if known is not None:
            age = self._clock() - known.at
            if not 0 <= age < self._lifetimes.refresh(known):
                self._start(key, address)
            finding = Finding.DELIVERABLE if known.deliverable else Finding.UNDELIVERABLE
            return Verification(finding, known.reason, {"remembered": f"{max(0.0, age):.0f} s", "reason": known.reason})
        task = self._start(key, address)
        if task is None:
            return Verification(Finding.UNKNOWN, evidence={"not asked": f"{self._most} probes are under way"})
        await asyncio.wait([task], timeout=self._lifetimes.wait)
        return task.result() if task.done() and not task.cancelled() else Verification(Finding.PENDING)

    async def close(self) -> None:
        """Give up what is under way."""
        probes = list(self._probes.values())
        for task in probes:
            task.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def _known(self, key: str) -> Verified | None:
        """What holds still."""
        known = self._memory.get(key)
        if known is None:
            try:
                known = await self._store.verified(self._kind, key)
            except StoreError as trouble:
                log.debug("verified addresses cannot be read: %s", trouble)
        # An answer from the future, of a clock that was set back since, is asked for anew, and no truer for its age.
        if known is None or abs(self._clock() - known.at) >= self._lifetimes.expire(known):
            return None
        self._keep(key, known)
        return known

    def _start(self, key: str, address: Address) -> asyncio.Task[Verification] | None:
        """The probe for an address, begun unless it is under way; None if there are too many."""
        task = self._probes.get(key)
        if task is None and len(self._probes) < self._most:
            task = self._probes[key] = asyncio.create_task(self._find_out(key, address))
            task.add_done_callback(lambda _: self._probes.pop(key, None))
        return task

    async def _find_out(self, key: str, address: Address) -> Verification:
        try:
            found = await self._probe(address)
        except Exception as trouble:
            log.exception("address verification failed")
            return Verification(Finding.UNKNOWN, evidence={"failed": f"{type(trouble).__name__}: {trouble}"})
        if found.finding in (Finding.DELIVERABLE, Finding.UNDELIVERABLE):
            deliverable = found.finding is Finding.DELIVERABLE
            known = Verified(deliverable, found.reason[:_LONGEST_REASON], self._clock())
            self._keep(key, known)
            try:
                await self._store.remember_verified(self._kind, key, known, self._lifetimes.expire(known) + known.at)
            except StoreError as trouble:
                log.debug("a verified address cannot be stored: %s", trouble)
        return found

    def _keep(self, key: str, known: Verified) -> None:
        self._memory[key] = known
        self._memory.move_to_end(key)
        if len(self._memory) > _IN_MEMORY:
            self._memory.popitem(last=False)
