"""What the table of phases asks about the local vetoes of the hosts.

A veto counts from the newest report, of whatever revision: what an operator of a host forbids
does not hang on what was ordered.
"""

from __future__ import annotations

from controller.core.conditions.condition import Condition

backup_willing = Condition(
    "backup_willing",
    lambda v: v.backup is None or not v.backup.veto,
    "no operator of {backup}'s host forbids a change of its role",
    "an operator of {backup}'s host forbids any change of its role ({backup_veto}); "
    "`saling-agent release` there ends that",
)
backup_vetoes = Condition(
    "backup_vetoes",
    lambda v: v.backup is not None and bool(v.backup.veto),
    backup_willing.no,
    backup_willing.yes,
)
primary_willing = Condition(
    "primary_willing",
    lambda v: v.primary is None or not v.primary.veto,
    "no operator of {primary}'s host forbids a change of its role",
    "an operator of {primary}'s host forbids any change of its role ({primary_veto}); "
    "`saling-agent release` there ends that, and if {primary} is lost, {backup} takes over all "
    "the same",
)
primary_vetoes = Condition(
    "primary_vetoes",
    lambda v: v.primary is not None and bool(v.primary.veto),
    primary_willing.no,
    primary_willing.yes,
)
