"""Which look-ups are started in which phase: each as soon as its input is known, in whichever list it stands."""

from collections.abc import Sequence

from smtpgate.phases.phase import DELAYED, FIRST_PHASE, KNOWN_IN, Phase
from smtpgate.phases.policy import Policy
from smtpgate.phases.rule import Rule

Walk = tuple[Rule, ...]


def starts_early(rule: Rule) -> bool:
    """Whether asking it ahead of its turn saves time and does no harm."""
    return rule.spec.lookup and not rule.spec.effects and rule.spec.memo


def is_cheap(rule: Rule) -> bool:
    """Whether it answers from the facts alone, without waiting for anything."""
    return not rule.spec.lookup and not rule.spec.effects


def walks(policy: Policy, phase: Phase, *, delay_reject: bool) -> Sequence[Walk]:
    """What is looked at in a phase: for each list that was not answered yet, what to start and what stands before it.

    The cheap rules among it may end their list, and what stands behind them then need not be started.
    """
    found = []
    for of, rules in policy.lists.items():
        answered_in = Phase.RCPT if delay_reject and of in DELAYED else of
        if answered_in >= phase:
            known = [rule for rule in rules if rule.spec.input <= KNOWN_IN[phase]]
            walk = _up_to_the_last([rule for rule in known if _is_new(rule, policy, phase) or _may_end_list(rule)])
            if walk:
                found.append(walk)
    return found


def walk_of(rules: Sequence[Rule]) -> Walk:
    """The same of rules that a table names, which are about to be asked."""
    return _up_to_the_last([rule for rule in rules if starts_early(rule) or _may_end_list(rule)])


def _up_to_the_last(rules: list[Rule]) -> Walk:
    """Behind the last that is to be started there is nothing to look at."""
    while rules and not starts_early(rules[-1]):
        rules.pop()
    return tuple(rules)


def _is_new(rule: Rule, policy: Policy, phase: Phase) -> bool:
    # Whose policy it is, is known at RCPT: nothing of it was started before, but what stands in everybody's lists.
    of_recipient = bool(policy.name) and phase is Phase.RCPT
    return starts_early(rule) and (of_recipient or FIRST_PHASE[rule.spec.input] is phase)


def _may_end_list(rule: Rule) -> bool:
    """Whether it can be asked ahead of its turn whether its list ends with it."""
    return is_cheap(rule) and rule.mode == "enforce" and rule.spec.score != "asks"
