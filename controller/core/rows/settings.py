"""The rows of the table of phases that follow what is set: by the configuration the lease times,
the backup and the protection, by an operator whether failover is automatic.
"""

from __future__ import annotations

from controller.core.conditions import pair as c
from controller.core.model import Phase
from controller.core.rows.effects import pause, resume, take_backup, take_protection, take_settings
from controller.core.rows.row import Row

P = Phase
SETTLED = (Phase.PROTECTED, Phase.ALONE, Phase.HELD)
"""The phases that a pause or new settings may change without disturbing an operation."""

SETTINGS_ROWS: tuple[Row, ...] = (
    *(
        Row(
            "new_settings", phase, phase, (c.settings_changed,),
            "the configuration has new lease times", take_settings, aside=True,
        )
        for phase in (P.PROTECTED, P.ALONE)
    ),
    Row(
        "new_backup", P.ALONE, P.ALONE, (c.backup_redeclared, c.primary_acknowledged_alone),
        "the configuration changes the backup from {backup} to {declared_backup}; {primary} stands "
        "alone until a backup follows it",
        take_backup,
    ),
    *(
        Row(
            "new_protection", phase, P.ALONE, (c.protection_changed, *also),
            "the configuration asks for another protection; {primary} stands alone until the "
            "pair is armed with it",
            take_protection,
        )
        for phase, also in ((P.PROTECTED, (c.primary_proves_since_declared,)), (P.ALONE, ()))
    ),
    *(
        Row(
            "paused", phase, phase, (c.asked_pause,),
            "automatic failover was paused by {request}", pause, aside=True,
        )
        for phase in SETTLED
    ),
    *(
        Row(
            "unpaused", phase, phase, (c.asked_resume, c.is_paused),
            "automatic failover was turned on again by {request}", resume, aside=True,
        )
        for phase in SETTLED
    ),
)  # fmt: skip
