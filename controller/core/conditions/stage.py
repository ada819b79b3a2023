"""What the table of phases asks about the stage of the sites, as the configuration declares it.

A copy in a site that is not active takes nothing over: a planned site is not there yet, and to a
suspended one nobody is moved.
"""

from __future__ import annotations

from controller.core.conditions.condition import Condition
from controller.core.conditions.facts import out_of_use
from controller.core.moment.view import View
from controller.core.site_model import Stage


def backup_stage(view: View) -> Stage:
    """That of the backup's site; of no backup nothing is said."""
    backup = view.spec.replica(view.record.backup)
    return backup.stage if backup else Stage.ACTIVE


def why_not(view: View) -> str:
    """`batam is planned`, where the backup stands in such a site; else empty."""
    return "" if backup_stage(view) is Stage.ACTIVE else out_of_use(view)


def to_be_left(view: View) -> str:
    """The site of the primary, where that is to be left; else empty."""
    primary = view.spec.replica(view.record.primary)
    return primary.site if primary and primary.stage is Stage.SUSPENDED else ""


backup_in_use = Condition(
    "backup_in_use",
    lambda view: backup_stage(view) is Stage.ACTIVE,
    "the site of {backup} is in use",
    "{out_of_use}, so that {backup} takes nothing over; `state: active` in the configuration and "
    "`saling reload` change that",
)
backup_out_of_use = Condition(
    "backup_out_of_use",
    lambda view: backup_stage(view) is not Stage.ACTIVE,
    backup_in_use.no,
    backup_in_use.yes,
)
