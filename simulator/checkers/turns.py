"""A group's order is kept: nobody is promoted while an earlier one is on its way to the same site.

Nor while an earlier one was silent with it: if that one is promoted in the end, and its primary's
agent said nothing in between, the later one has overtaken it. What stands still is not waited for
without an end: an overtaking after the patience that is promised is none.
"""

from __future__ import annotations

from controller.core.events import Event, RenewCame, ReportCame
from controller.core.model import HeldFor, Phase, Record, ServiceSpec, State
from protocol.windows import RHO_PERCENT, grantor_window_ms, silence_ms
from simulator.watch import Broken, Watch

MOVING = (Phase.COUNTDOWN, Phase.DRAINING, Phase.PROMOTING)
PROMOTION_MS = 10_000
"""What the promise gives an earlier one's engine to become primary."""
REPORTS = 4
"""So many after it should have been counted down nobody waits for one that is silent."""


class OrderKept(Watch):
    """Knows each record, since when its phase lasts, and which agents were heard."""

    def __init__(self, specs: list[ServiceSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._records: dict[str, Record] = {}
        self._since: dict[str, tuple[int, int]] = {}
        """When a phase began, and how many messages had come by then."""
        self._came = 0
        self._heard: dict[str, int] = {}
        """The number of the last message of each agent."""
        self._silent_ms: dict[str, int] = {}
        """For how long each primary had proved no commit, when the controller last looked."""
        self._overtaken: dict[str, str] = {}
        """Silent services, each with a later one that was promoted meanwhile."""

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        if isinstance(event, ReportCame | RenewCame):
            told = event.report if isinstance(event, ReportCame) else event.renew
            self._came += 1
            self._heard[told.header.sender] = self._came
        for service in state.services.values():
            self._silent_ms[service.spec.name] = at_ms - service.proven_ms

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._records = {record.service: record for record in records.values()}
        self._overtaken.clear()

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        forced = old is not None and old.held_for is HeldFor.FORCED
        if old is not None and new.phase is Phase.PROMOTING is not old.phase and not forced:
            self._judge(now_ms, old)
        if new.phase not in (Phase.PROTECTED, Phase.COUNTDOWN, Phase.PROMOTING):
            self._overtaken.pop(new.service, None)
        if old is None or new.phase is not old.phase:
            self._since[new.service] = (now_ms, self._came)
        self._records[new.service] = new

    def _judge(self, now_ms: int, old: Record) -> None:
        self._was_overtaken(old)
        earlier = self._earlier(old)
        since_ms, came = self._since.get(old.service, (now_ms, self._came))
        patience_ms = _patience_ms(old, earlier)
        if now_ms - since_ms >= patience_ms:
            return
        for record in earlier:
            in_phase_ms = now_ms - self._since.get(record.service, (now_ms, 0))[0]
            if record.phase in MOVING and in_phase_ms < patience_ms:
                raise Broken(
                    "order",
                    f"{old.service} is promoted while {record.service}, earlier in its group, is "
                    f"on its way in {record.phase.value}",
                    old.service,
                )
            if self._is_silent(record, old, came):
                self._overtaken[record.service] = old.service

    def _was_overtaken(self, old: Record) -> None:
        later = self._overtaken.pop(old.service, "")
        since = self._since.get(later, (0, 0))[1]
        if later and old.phase is Phase.COUNTDOWN and self._heard.get(old.primary, 0) < since:
            raise Broken(
                "order",
                f"{later} was promoted before {old.service}, which is earlier in its group and was "
                f"silent already, and {old.primary} has said nothing since",
                later,
            )

    def _is_silent(self, record: Record, later: Record, came: int) -> bool:
        """Protected on the very agent that is lost, unheard since the later one's countdown began,
        and not yet for so long that it should have been counted down itself."""
        spec, same = self._specs[record.service], record.primary == later.primary
        moves = record.phase is Phase.PROTECTED and not record.paused and record.hold is None
        expected_ms = silence_ms(record.terms) + REPORTS * spec.report_interval_ms
        counts = same and moves and later.phase is Phase.COUNTDOWN
        soon = self._silent_ms.get(record.service, expected_ms) < expected_ms
        return counts and soon and self._heard.get(record.primary, 0) < came

    def _earlier(self, old: Record) -> list[Record]:
        mine = self._specs[old.service]
        site = old.backup
        return [
            record
            for name, record in self._records.items()
            if mine.group
            and self._specs[name].group == mine.group
            and self._specs[name].order < mine.order
            and (record.primary if record.phase is Phase.PROMOTING else record.backup) == site
        ]


def _patience_ms(old: Record, earlier: list[Record]) -> int:
    """After how long in true time it may go on: the controller's clock may run fast."""
    promised_ms = _own_ms(old) + sum(
        silence_ms(record.terms) + _own_ms(record) + PROMOTION_MS for record in earlier
    )
    return promised_ms * (100 - RHO_PERCENT) // 100


def _own_ms(record: Record) -> int:
    """A service's lease as its grantors count it, and the time to send its log."""
    return grantor_window_ms(record.ttl_ceiling_ms) + record.terms.log_budget_ms
