"""The score: points from weighted DNS lists of clients, and the threshold that refuses (Postfix: postscreen)."""

import asyncio
import re
from dataclasses import dataclass
from typing import Literal

from smtpgate.dnsbl.listing import DnsList, address_list
from smtpgate.dnsbl.lists import ListAnswer
from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.score import Points, Score
from smtpgate.phases.verdict import Action, Verdict
from smtpgate.values import choice, list_of, points

_WEIGHT = re.compile(r"[+-]?[0-9]{1,4}\Z")
_MOST_LISTS = 50


@dataclass(frozen=True, slots=True)
class WeightedList:
    """A list, which of its answers count, and how many points they give."""

    listing: DnsList
    weight: int

    @property
    def public_text(self) -> str:
        """As written, without the access key."""
        return f"{self.listing.public_text}*{self.weight}"


def weighted_list(value: object) -> WeightedList:
    """A list as in postscreen_dnsbl_sites: "zone=codes*weight"; codes and weight (1) may be left out."""
    text, star, weight = value.partition("*") if isinstance(value, str) else ("", "", "")
    try:
        if star and not _WEIGHT.match(weight):
            raise ValueError
        return WeightedList(address_list(text), points(int(weight)) if star else 1)
    except ValueError:
        raise ValueError(
            'a list such as "zen.spamhaus.org=127.0.0.[2..11]*3" or "list.dnswl.org=127.0.[0..255].[1..3]*-2"'
        ) from None


class WeightedLists(tuple[WeightedList, ...]):
    """The lists of one rule."""

    @property
    def public_text(self) -> str:
        """As it stands in records: without access keys."""
        return ",".join(one.public_text for one in self)


def weighted_lists(value: object) -> WeightedLists:
    """One list or more."""
    lists: WeightedLists = list_of(weighted_list, WeightedLists)(value)
    if not 1 <= len(lists) <= _MOST_LISTS:
        raise ValueError(f"one list or more, at most {_MOST_LISTS}")
    return lists


def threshold(value: object) -> int:
    """The least sum that counts: 1 to 10000, as an argument too."""
    number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 10_000:
        raise ValueError("a whole number of points above zero")
    return number


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """Which lists are asked about the client."""

    lists: WeightedLists = option(
        weighted_lists,
        help="lists as in postscreen_dnsbl_sites: zone, after = the answers that count, after * the points",
    )


async def score(tx: Transaction, ctx: Context, options: ScoreOptions) -> Verdict:
    """Give points for each DNS list that the client's address is on; a negative weight takes them away.

    Postfix: postscreen_dnsbl_sites. A zone is asked once; a list that does not answer gives none.
    """
    client = tx.session.client_address
    zones: dict[str, DnsList] = {}
    for one in options.lists:
        zone = one.listing.zone
        zones[zone] = DnsList(zone) if zone in zones else one.listing
    answers = await asyncio.gather(*(ctx.lists.ask(listing, client, client) for listing in zones.values()))
    by_zone = dict(zip(zones, answers, strict=True))
    found = [one for one in options.lists if _is_on(one, by_zone[one.listing.zone])]
    given = tuple(Points(one.listing.public_name, one.weight) for one in found)
    lists = [
        {**answer.evidence, "gives": sum(one.weight for one in found if one.listing.zone == zone)}
        for zone, answer in by_zone.items()
    ]
    evidence = {"points": sum(one.value for one in given), "lists": lists}
    return Verdict(Action.DUNNO, None, evidence, points=given)


def _is_on(one: WeightedList, answer: ListAnswer) -> bool:
    return any(one.listing.counts(address) for address in answer.codes)


@dataclass(frozen=True, slots=True)
class CheckScoreOptions:
    """When it is too much, and what follows."""

    threshold: int = option(threshold, help="so many points are too many", argument=True)
    action: Literal["reject", "defer", "tag"] = option(
        choice("reject", "defer", "tag"), "reject", 'what follows; "tag" notes the score in the header'
    )


async def check_score(tx: Transaction, ctx: Context, options: CheckScoreOptions) -> Verdict:
    """Refuse once the points that were given before it reach a threshold.

    Postfix: postscreen_dnsbl_threshold, 550 5.7.1, with the name of the list that gave most. 450 4.7.1 if the
    threshold is reached only with findings that are temporary themselves, and with action = "defer".
    """
    total = sum(one.value for one in tx.score)
    reached = total >= options.threshold
    evidence = {"score": total, "threshold": options.threshold, "given": _by_name(tx.score)}
    if options.action == "tag":
        properties = (("policy.score", str(total)), ("policy.threshold", str(options.threshold)))
        result = MethodResult("x-score", "fail" if reached else "pass", None, properties)
        return Verdict(Action.DUNNO, None, evidence, (result,))
    if not reached:
        return Verdict(Action.DUNNO, None, evidence)
    lasting = sum(one.value for one in tx.score if not one.temporary) >= options.threshold
    text = f"Service unavailable; client [{tx.session.client_address}] blocked using {_heaviest(tx.score)}"
    if options.action == "defer" or not lasting:
        return Verdict(Action.DEFER, Reply(450, "7.1", text), evidence)
    return Verdict(Action.REJECT, Reply(550, "7.1", text), evidence)


def _by_name(score: Score) -> dict[str, int]:
    given: dict[str, int] = {}
    for one in score:
        given[one.name] = given.get(one.name, 0) + one.value
    return given


def _heaviest(score: Score) -> str:
    """Who gave most; of equals the first in the order written."""
    given = _by_name(score)
    return max(given, key=lambda name: given[name])
