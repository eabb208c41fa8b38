"""A record, told phase by phase to a person who does support."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

Story = dict[str, Any]

_OUTCOMES = {
    "accepted": "Accepted: the downstream has taken the message.",
    "rejected": "Refused for good{by}. The sender's server will not try again, and tells its user.",
    "deferred": "Refused for now{by}. A real mail server tries again by itself.",
    "discarded": "Thrown away{by}: the client was told that it was accepted.",
    "held": "Held{by}: the message is in the quarantine, and `smtpgate quarantine` shows it.",
    "abandoned": "Not finished: the client left or gave up before there was a message.",
}
_PHASES = {"client": "CLIENT", "helo": "HELO", "mail": "MAIL", "rcpt": "RCPT", "data": "DATA", "end_of_data": "MESSAGE"}
_PHASE_OF_COMMAND = {"HELO": "helo", "EHLO": "helo", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "BDAT": "data"}
_REFUSING = ("reject", "defer", "defer_if_permit")
_DEEDS = ("PREPEND", "DISCARD", "HOLD", "REDIRECT", "BCC")
_MOST_EVIDENCE = 12
_LONGEST_EVIDENCE = 300
# What has answers of the DNS, which speak for themselves.
_LINES = ("dns", "lookups")


def tell(story: Story) -> str:
    """The story as text, without anything that a terminal would obey: much in it was written by strangers."""
    return "\n".join("".join(c if c.isprintable() else "?" for c in line).rstrip() for line in _lines(story))


def _lines(story: Story) -> Iterator[str]:
    yield f"Reference {story['ref']}   {_time(story['at'])}   {story['outcome']}, {_ms(story['ms'])}"
    yield ""
    yield _OUTCOMES[story["outcome"]].format(by=_decided_by(story["decided_by"]))
    yield from _in_short(story)
    told: list[int] = []
    for phase, name in _PHASES.items():
        body = list(_phase(story, phase, told))
        fact = _fact(story, phase)
        if body or fact:
            yield ""
            yield f"{name:8} {fact}"
            yield from (f"  {line}" for line in body)
    rest = [reply for index, reply in enumerate(story["replies"]) if index not in told]
    if rest:
        yield ""
        yield "OTHER"
        yield from (f"  {reply['command']}: answered {reply['reply']}" for reply in rest)
    if story["omitted"]:
        yield ""
        yield f"{story['omitted']} more entries were left out: this client asked for too much."


def _in_short(story: Story) -> Iterator[str]:
    """What the client was told, if only one thing can be."""
    refusals = [reply for reply in story["replies"] if not reply["reply"].startswith("2")]
    if story["outcome"] == "accepted":
        refused = [reply["command"].removeprefix("RCPT ") for reply in refusals if reply["command"].startswith("RCPT ")]
        if refused:
            yield f"But not for {', '.join(dict.fromkeys(refused))}."
    elif story["outcome"] in ("rejected", "deferred"):
        by_rule = [
            rule["reply"]
            for rule in story["rules"]
            if rule["rule"] == story["decided_by"] and not _is_held_back(rule) and rule["reply"]
        ]
        # After its last recipient was refused, a client may still try DATA: that answer explains nothing.
        refusals.sort(key=lambda reply: reply["command"].startswith(("RCPT ", "end of data")))
        replies = by_rule or [reply["reply"] for reply in refusals]
        yield from (f"The client was told: {told}" for told in replies[-1:])
    elif story["outcome"] in ("discarded", "held"):
        deeds = [_deed(rule) for rule in story["rules"] if rule["rule"] == story["decided_by"]]
        yield from (f"The rule says: {deed}" for deed in list(filter(None, deeds))[-1:])


def _fact(story: Story, phase: str) -> str:
    """What the client said that opened a phase."""
    match phase:
        case "client":
            return f"{story['client']} connected to {story['listener']}{_via(story)}"
        case "helo":
            return f"called itself {story['helo']}" if story["helo"] else ""
        case "mail" if story["sender"] is not None:
            return f"from {story['sender'] or '<> (a bounce or another notice)'}{_forwarded(story)}"
        case "rcpt" if story["recipients"]:
            return "to " + ", ".join(dict.fromkeys(story["recipients"]))
        case "end_of_data" if story["size"] is not None:
            return f"{story['size']} bytes"
    return ""


def _phase(story: Story, phase: str, told: list[int]) -> Iterator[str]:
    """The rules of a phase, the downstream's answers and ours. told: the replies that were told, by index."""
    if phase == "client" and story.get("tls"):
        yield from _tls(story["tls"])
    rules = [rule for rule in story["rules"] if rule["phase"] == phase]
    if phase != "rcpt":
        for rule in rules:
            yield from _rule(rule)
    else:
        for rule in rules:
            if rule["recipient"] is None:
                yield from _rule(rule)
        for recipient in dict.fromkeys(story["recipients"]):
            yield f"{recipient}:"
            for rule in rules:
                if rule["recipient"] == recipient:
                    yield from (f"  {line}" for line in _rule(rule))
            yield from (f"  {line}" for line in _answers(story, f"RCPT {recipient}", told))
    if phase == "end_of_data":
        yield from _done_by_rules(story)
        yield from _answers(story, "end of data", told)
    for index, reply in enumerate(story["replies"]):
        verb = reply["command"].partition(" ")[0]
        if index not in told and _PHASE_OF_COMMAND.get(verb) == phase:
            told.append(index)
            yield f"answered {reply['reply']}"


def _via(story: Story) -> str:
    """The servers that told who the client is."""
    return "".join(_hop(hop) for hop in story.get("via") or [])


def _hop(hop: Story) -> str:
    if "failed" in hop:
        return f", and did not say for whom: {hop['by']}: {hop['failed']}"
    known = [f"{what} {hop[key]}" for what, key in (("name", "name"), ("logged in as", "login")) if hop[key]]
    return f", says {hop['address']} ({', '.join([hop['by'], *known])})"


def _forwarded(story: Story) -> str:
    """Where another server says that the message came from."""
    known = [f"{name}={value}" for name, value in (story.get("forwarded") or {}).items() if value]
    return f", on its way from {' '.join(known)} (XFORWARD)" if known else ""


def _tls(tls: Story) -> Iterator[str]:
    if "failed" in tls:
        yield f"TLS handshake failed: {tls['failed']}"
        return
    asked_for = f", for {tls['sni']}" if tls["sni"] else ""
    yield f"encrypted with {tls['version']}, {tls['cipher']}, {tls['bits']} bits{asked_for}"
    shown = tls.get("client_certificate")  # records of earlier versions have none
    if shown:
        yield f"certificate of {shown['subject'] or '(no name)'}, signed by {shown['issuer'] or '(no name)'}"
        yield f"    {'verified' if shown['verified'] else 'not verified: ' + shown['problem']}"
        yield f"    fingerprint {shown['fingerprint']}"
        if shown["key_fingerprint"]:
            yield f"    of its key  {shown['key_fingerprint']}"


def _done_by_rules(story: Story) -> Iterator[str]:
    """What came of REDIRECT, BCC and HOLD: nobody else has named these addresses."""
    named = {"end of data", *(f"RCPT {recipient}" for recipient in story["recipients"])}
    for relayed in story["relay"]:
        if relayed["command"] not in named:
            yield f"{relayed['command']}: {relayed['reply']}"


def _answers(story: Story, command: str, told: list[int]) -> Iterator[str]:
    # What is thrown away or held reaches no downstream; the answer is our own.
    own = command == "end of data" and story["outcome"] in ("discarded", "held")
    for relayed in story["relay"]:
        if relayed["command"] == command and not own:
            yield f"downstream: {relayed['reply']}   {_ms(relayed['ms'])}"
    for index, reply in enumerate(story["replies"]):
        if reply["command"] == command and index not in told:
            told.append(index)
            yield f"answered {reply['reply']}"


def _rule(rule: Story) -> Iterator[str]:
    held_back = _is_held_back(rule)
    verdict = f"({rule['verdict']})" if held_back else rule["verdict"]
    named = f"{rule['rule']}  (policy {rule['policy']})" if rule.get("policy") else rule["rule"]
    yield f"{verdict:17} {named}   {'' if rule['verdict'] == 'unfinished' else _ms(rule['ms'])}"
    if held_back:
        yield f"    {'shadow' if rule['mode'] == 'shadow' else 'warning'}: {_would_have(rule)}"
    elif rule["reply"]:
        yield f"    with {rule['reply']}"
    if rule["error"]:
        yield f"    failed: {rule['error']}"
    seen = [line[:_LONGEST_EVIDENCE] for line in _evidence(rule["evidence"])]
    yield from (f"    {line}" for line in seen[:_MOST_EVIDENCE])
    if len(seen) > _MOST_EVIDENCE:
        yield f"    and {len(seen) - _MOST_EVIDENCE} more; --json shows all"


def _is_held_back(rule: Story) -> bool:
    """Whether what it said changed nothing: any rule in shadow mode, and the refusal of one that only warns."""
    return rule["mode"] == "shadow" or (rule["mode"] == "warn" and rule["verdict"] in _REFUSING)


def _would_have(rule: Story) -> str:
    match rule["verdict"]:
        case "unfinished":
            return "had not answered when the record was closed"
        case "dunno" | "permit" if deed := _deed(rule):
            return f"would have done: {deed}"
        case "dunno" if isinstance(rule["evidence"], dict) and "would_ask" in rule["evidence"]:
            return "would have gone on with the rules that it names"
        case "dunno":
            return "would have changed nothing"
        case "permit":
            return "would have permitted"
        case "defer_if_reject":
            return f"would have turned a later refusal into {rule['reply']}"
        case verdict if verdict in _REFUSING or rule["reply"]:
            return f"would have refused with {rule['reply']}"
    return "would have been passed over"


def _deed(rule: Story) -> str:
    """What a table or a policy service wanted done with the message, in their words."""
    evidence = rule["evidence"] if isinstance(rule["evidence"], dict) else {}
    said = str(evidence.get("result") or evidence.get("action") or "")
    return said if said.split(" ")[0].upper() in _DEEDS else ""


def _evidence(evidence: Any) -> Iterator[str]:
    """What a check saw, in short words; one line a DNS question."""
    if isinstance(evidence, list):
        for part in evidence:
            yield from _evidence(part) if isinstance(part, (dict, list)) else [str(part)]
        return
    if not isinstance(evidence, dict):
        return
    facts = dict(evidence)
    if {"question", "status"} <= facts.keys():  # so in records of earlier versions
        yield _dns_answer(facts)
    for name, value in facts.items():
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
            yield from _evidence(value)
        elif name in _LINES:
            yield from _evidence(value if isinstance(value, list) else [value])
        elif value is not None and value is not False and value not in ("", []):
            yield f"{name.replace('_', ' ')}: {_value(name, value)}"


def _dns_answer(facts: dict[str, Any]) -> str:
    """Take one question's answer out of the facts."""
    question, status = facts.pop("question"), facts.pop("status")
    records, ttl, detail = facts.pop("records", ()), facts.pop("ttl", 0), facts.pop("detail", "")
    if records:
        return f"{question}: {', '.join(map(str, records))} (for {ttl} s)"
    return f"{question}: {status}{f' ({detail})' if detail else ''}"


def _value(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name == "first_seen":
        return _time(value)
    if name == "age":
        return f"{value:g} s"
    return "yes" if value is True else str(value)


def _decided_by(by: str | None) -> str:
    match by:
        case None:
            return ""
        case "downstream":
            return " by the downstream mail server"
        case "smtpgate":
            return " by smtpgate itself"
    return f" by the rule {by}"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _ms(ms: float) -> str:
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
