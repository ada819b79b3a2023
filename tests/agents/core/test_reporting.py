"""What is told at once is what a report says, though it is asked without making one."""

from __future__ import annotations

from agents.core.reporting import report, urgent
from tests.agents.core.chance import NOW, Chance

REPLICAS = 3000


def test_the_urgent_facts_are_those_that_a_report_would_say() -> None:
    chance = Chance()
    for _ in range(REPLICAS):
        replica = chance.replica()
        told = report(replica, NOW)
        assert urgent(replica, NOW) == (
            told.revision,
            told.role,
            told.mode,
            told.writable,
            told.system_identifier,
            told.streaming,
            told.sync_active,
            told.fenced,
            told.released,
            told.resumed,
            told.handover,
            bool(told.illness),
            told.stopped,
            told.promise_left_ms == 0,
            told.refused_revision,
            told.primary_heard,
            told.log_taken,
            bool(told.primary_illness),
            told.cannot_promise,
            told.veto,
            bool(told.fence_missing),
            told.start_nonce,
        )
