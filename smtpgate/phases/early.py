"""Which look-ups are started in which phase: each as soon as its input is known, in whichever list it stands."""

from collections.abc import Sequence

from smtpgate.phases.phase import DELAYED, FIRST_PHASE, KNOWN_IN, Phase
from smtpgate.phases.policy import Policy
from smtpgate.phases.rule import Rule

Walk = tuple[Rule, ...]


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
    return _up_to_the_last([rule for rule in rules if rule.starts_early or _may_end_list(rule)])


def _up_to_the_last(rules: list[Rule]) -> Walk:
    """Behind the last that is to be started there is nothing to look at."""
    while rules and not rules[-1].starts_early:
        rules.pop()
    return tuple(rules)


def _is_new(rule: Rule, policy: Policy, phase: Phase) -> bool:
    # Whose policy it is, is known at RCPT: nothing of it was started before, but what stands in everybody's lists.
    of_recipient = bool(policy.name) and phase is Phase.RCPT
    return rule.starts_early and (of_recipient or FIRST_PHASE[rule.spec.input] is phase)


def _may_end_list(rule: Rule) -> bool:
    """Whether it can be asked ahead of its turn whether its list ends with it."""
    return rule.is_cheap and rule.mode == "enforce" and rule.spec.score != "asks"
