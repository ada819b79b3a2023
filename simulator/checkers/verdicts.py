"""What is said of a site is what was told of it: nobody is called down who is reached, nor cut off
or down too soon, nor well again before that has lasted.

Judged by the Reports that came to the controller, on its own clock.
"""

from __future__ import annotations

from controller.core.events import Event, ReportCame
from controller.core.model import State
from controller.core.site_model import Health, Nation, SiteState, Stage
from protocol.messages import Report
from simulator.watch import Broken, Watch

GONE = (Health.CUT_OFF, Health.DOWN)
HERE = (Health.HEALTHY, Health.DEGRADED)
LOST_MS = 4900
"""Unheard for two seconds, and that for three more, but for a look."""
BACK_MS = 14_700
"""Heard again for so long, but for a look."""
REACHED_MS = 2500
DENIED_MS = 4900
ALIVE_MS = 4000


class VerdictsTrue(Watch):
    """Remembers the last Report of each agent in this life of the controller."""

    def __init__(self) -> None:
        self._began_ms = -1
        self._reports: dict[str, tuple[int, Report]] = {}
        self._health: dict[str, Health] = {}
        self._first_ms: dict[str, int] = {}
        """By site that was called cut off or down: when it was first heard since."""

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        nation = state.nation
        if not nation.addresses:
            return
        if nation.began_ms != self._began_ms:
            self._forget(nation)
        for site in nation.sites.values():
            before = self._health.get(site.spec.name, Health.UNKNOWN)
            if site.health is not before:
                self._judge(nation, before, site)
                self._health[site.spec.name] = site.health
        if isinstance(event, ReportCame):
            agent = event.report.header.sender
            self._reports[agent] = (at_ms, event.report)
            if self._health.get(agent) in GONE:
                self._first_ms.setdefault(agent, at_ms)

    def _forget(self, nation: Nation) -> None:
        """A life of the controller knows nothing of what an earlier one heard."""
        self._began_ms = nation.began_ms
        self._reports.clear()
        self._health.clear()
        self._first_ms.clear()

    def _judge(self, nation: Nation, before: Health, site: SiteState) -> None:
        name, since_ms = site.spec.name, site.since_ms
        if site.health is Health.DOWN:
            self._is_reached_by_nobody(nation, site)
        if site.health in GONE and before not in GONE:
            self._was_lost(name, site)
        if site.health in HERE and before in GONE:
            heard_ms = since_ms - self._first_ms.get(name, since_ms)
            if heard_ms < BACK_MS:
                raise Broken(
                    "verdict",
                    f"{name} was {before.value} and is {site.health.value} after {heard_ms} ms in "
                    "which it was heard again",
                )
        if site.health not in GONE or before not in GONE:
            self._first_ms.pop(name, None)

    def _was_lost(self, name: str, site: SiteState) -> None:
        last_ms = self._reports[name][0] if name in self._reports else self._began_ms
        if site.since_ms - last_ms < LOST_MS:
            raise Broken(
                "verdict",
                f"{name} is called {site.health.value} {site.since_ms - last_ms} ms after it was "
                "heard",
            )

    def _is_reached_by_nobody(self, nation: Nation, site: SiteState) -> None:
        """Most of all who should reach it said that they do not, and nobody who is heard does."""
        name, since_ms = site.spec.name, site.since_ms
        others = [
            one.spec.name
            for one in nation.sites.values()
            if one.spec.stage is Stage.ACTIVE and one.spec.name != name
        ]
        ages = {one: self._age_ms(one, name, since_ms) for one in others}
        reaching = [
            one
            for one, age_ms in ages.items()
            if 0 <= age_ms < REACHED_MS and self._was_answered(one, name)
        ]
        if reaching:
            raise Broken("verdict", f"{name} is called down, and {reaching[0]} reaches it")
        for one in others:
            self._was_alive(one, site)
        denying = [
            one
            for one, age_ms in ages.items()
            if age_ms >= DENIED_MS and since_ms - self._reports[one][0] < LOST_MS
        ]
        if 2 * len(denying) <= len(others):
            raise Broken(
                "verdict",
                f"{name} is called down by {len(denying)} of the {len(others)} who should reach it",
            )

    def _was_alive(self, observer: str, site: SiteState) -> None:
        """Nobody who is lost himself reached it after the controller had lost it."""
        name, since_ms = site.spec.name, site.since_ms
        came_ms = self._reports[observer][0] if observer in self._reports else since_ms
        last_ms = self._reports[name][0] if name in self._reports else self._began_ms
        answered_ms = since_ms - self._age_ms(observer, name, since_ms)
        is_lost = since_ms - came_ms > LOST_MS
        if is_lost and last_ms + ALIVE_MS < answered_ms <= came_ms:
            raise Broken(
                "verdict",
                f"{name} is called down, though {observer}, which is lost since, reached it "
                f"{answered_ms - last_ms} ms after it was last heard",
            )

    def _was_answered(self, observer: str, site: str) -> bool:
        """Where no answer ever came, the age is that of the first probe."""
        paths = self._reports[observer][1].paths
        return any(path.to == site and path.asked > path.lost for path in paths)

    def _age_ms(self, observer: str, site: str, now_ms: int) -> int:
        """How old its last answer is; -1 where the observer said nothing of it."""
        came_ms, report = self._reports.get(observer, (0, None))
        if report is None:
            return -1
        for path in report.paths:
            if path.to == site and path.asked:
                return path.answer_age_ms + now_ms - came_ms
        return -1
