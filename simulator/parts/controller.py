"""The controller's process in its lives: the shell around the shipped rules, and its crashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from controller.core import actions as act
from controller.core import events as ev
from controller.core.actions import Action
from controller.core.configured import begun, misfits
from controller.core.invariants import InvariantBroken
from controller.core.model import ServiceSpec, State
from controller.core.plan_model import OVER, Moved, MoveRules
from controller.core.plans.going import take_up
from controller.core.site_model import Nation
from controller.core.sites.cautions import resumed
from controller.core.step import LeadershipLost, begin, found, step
from protocol.intake import Intake, M, Rejected
from protocol.messages import CONTROLLER, Grant, Granted, Header, Order, Renew, Report
from protocol.windows import grantor_window_ms
from simulator.kernel import Kernel
from simulator.parts.agent import CLUSTER, Wires
from simulator.parts.clock import Clock
from simulator.parts.network import HUB, Network
from simulator.parts.reading import plan_reread, reread, staged
from simulator.parts.stillness import Stillness
from simulator.parts.store import Store
from simulator.watch import Broken, Watch

TICK_MS = 50
READ_MOST_MS = 30
SLOW_READ_MOST_MS = 4000
SLOW_WRITE_MOST_MS = 3000

encode = msgspec.json.encode


class Controller:
    """One controller on its host. `crash` and `start` make lives; the store stays."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        wires: Wires,
        watch: Watch,
        specs: list[ServiceSpec],
        rate_ppm: int,
        ordered: bool,
        nation: Nation,
        move_rules: MoveRules,
    ) -> None:
        self._kernel = kernel
        self._network = network
        self._wires = wires
        self._watch = watch
        self._specs = {spec.uid: spec for spec in specs}
        """What the configuration declares, as the next life reads it."""
        self._ordered = ordered
        self._move_rules = move_rules
        self._nation = nation
        """The sites as declared; none where the world says nothing of them."""
        self.store = Store()
        self._clock = Clock(rate_ppm, 5000, 0)
        self._boots = 1
        self.state: State | None = None
        """None while the process is dead."""
        self._life = 0
        self._sequence = 0
        self._intake = Intake(CLUSTER)
        self.still = Stillness(kernel)
        self.reads_slow_until_ms = 0
        self.writes_slow_until_ms = 0
        self._writing = False
        """Whether a change is being written to the store: nothing else is decided meanwhile."""
        self._waiting: deque[ev.Event] = deque()
        self._decided_ms = 0
        """When the last event was decided, by the host's clock: its grants count from then."""
        self.crashes_after_actions = -1
        """Not negative: dies after this many more actions of steps that swap."""

    def now_ms(self) -> int:
        """What the host's clock shows."""
        return self._clock.read_ms(self._kernel.now_ms)

    def start(self) -> None:
        """A new life begins to lead."""
        if self.state is not None:
            return
        self._life += 1
        self._sequence = 0
        self._intake = Intake(CLUSTER)
        self._writing = False
        self._waiting.clear()
        term = self.store.lead(self._kernel.now_ms)
        specs = begun(self._specs.values())
        for spec in specs:
            if spec.uid not in self.store.records:
                record = found(spec, term)
                self.store.found(self._kernel.now_ms, record)
                self._watch.swapped(self._kernel.now_ms, None, record)
        records = {uid: reread(record) for uid, record in self.store.records.items()}
        state = begin(specs, records, term, "generation", self.now_ms(), self._nation)
        cautioned = resumed(state.nation, self.store.cautions, self._kernel.now_ms, self.now_ms())
        state = replace(state, nation=cautioned, move_rules=self._move_rules)
        plans = [plan_reread(plan) for plan in self.store.plans.values()]
        under_way = next((plan for plan in plans if plan.status not in OVER), None)
        made = max((plan.number for plan in plans), default=0)
        self.state = take_up(state, under_way, self._past(), made, self.now_ms())
        self._kernel.tell(CONTROLLER, f"begins to lead in term {term}")
        self._later(self._kernel.between(1, TICK_MS), self._tick)

    def _past(self) -> tuple[Moved, ...]:
        """Plans that are over, and when; the true time stands for the wall time of the shipped."""
        ahead_ms = self.now_ms() - self._kernel.now_ms
        return tuple(
            Moved(
                plan.id, plan.kind, plan.site, plan.status, begun_ms + ahead_ms,
                changed_ms + ahead_ms, plan.by_policy,
            )
            for plan, (begun_ms, changed_ms) in self.store.dated_plans() if plan.status in OVER
        )  # fmt: skip

    def crash(self, down_ms: int) -> None:
        """It dies, and comes back after a while."""
        if self.state is None:
            return
        self._kernel.tell(CONTROLLER, "crashes")
        self.state = None
        self.crashes_after_actions = -1
        self._kernel.after(down_ms, self.start)

    def heal(self) -> None:
        """End every fault; a life begins if there is none."""
        self.still.end()
        self.reads_slow_until_ms = self.writes_slow_until_ms = 0
        self.crashes_after_actions = -1
        self.start()

    def restore(self, as_of_ms: int, down_ms: int) -> None:
        """It dies, and comes back on a store that is an older copy."""
        self.crash(down_ms)
        self.store.restore(as_of_ms)
        self._watch.restored(self._kernel.now_ms, self.store.records)

    def reboot(self, down_ms: int) -> None:
        """Its host starts anew: another boot id, and a clock that begins anywhere."""
        self.crash(down_ms)
        self._boots += 1
        self._clock.restart(self._kernel.between(1000, 60_000), self._kernel.now_ms)

    def change_rate(self, rate_ppm: int) -> None:
        """Its host's clock runs faster or slower from now on."""
        self._clock.change_rate(rate_ppm, self._kernel.now_ms)

    def configure(self, spec: ServiceSpec, down_ms: int) -> None:
        """It is started anew with another configuration of one service."""
        self._specs[spec.uid] = spec
        self._watch.configured(self._kernel.now_ms, spec)
        self.crash(down_ms)

    def reload(self, id_: str, *changed: ServiceSpec) -> None:
        """It reads another declaration of some services while it leads; dead, its next life does,
        where that one can."""
        if self.state is not None:
            self._later(0, lambda: self._read_anew(id_, changed))
        elif not any(misfits(s, self.store.records[s.uid]) for s in changed if self._knows(s)):
            self._take(changed)

    def _knows(self, spec: ServiceSpec) -> bool:
        return spec.uid in self.store.records

    def _read_anew(self, id_: str, changed: tuple[ServiceSpec, ...]) -> None:
        if self.state is None:
            return
        known = self.state.services
        stored = {u: reread(r) for u, r in self.store.records.items() if u not in known}
        specs = {**self._specs, **{spec.uid: spec for spec in changed}}
        nation, rules = staged(self._nation, specs.values()), self._move_rules
        self._feed(ev.Configured(id_, tuple(specs.values()), nation, stored, move_rules=rules))

    def _take(self, specs: Iterable[ServiceSpec]) -> None:
        for spec in specs:
            if spec != self._specs[spec.uid]:
                self._specs[spec.uid] = spec
                self._watch.configured(self._kernel.now_ms, spec)
        self._nation = staged(self._nation, self._specs.values())

    def declared(self, uid: str) -> ServiceSpec:
        """What the configuration says of a service now."""
        return self._specs[uid]

    def request(self, request: ev.Ask) -> None:
        """An operator asks for something."""
        if self.state is not None:
            self._later(0, lambda: self._feed(request))

    def take_report(self, site: str, raw: bytes) -> None:
        """A message came on that agent's topic."""
        self._later(0, lambda: self._report_came(site, raw))

    def take_renew(self, site: str, raw: bytes) -> None:
        """A message came on that agent's topic."""
        self._later(0, lambda: self._renew_came(site, raw))

    def _report_came(self, site: str, raw: bytes) -> None:
        report = self._take_in(raw, Report, site)
        if report:
            self._feed(ev.ReportCame(report))

    def _renew_came(self, site: str, raw: bytes) -> None:
        renew = self._take_in(raw, Renew, site)
        if renew:
            self._feed(ev.RenewCame(renew))

    def _take_in(self, raw: bytes, kind: type[M], sender: str) -> M | None:
        intake = self._intake if self._ordered else Intake(CLUSTER)
        try:
            return intake.take(raw, kind, sender)
        except Rejected:
            return None

    def _later(self, delay_ms: int, do: Callable[[], None]) -> None:
        life = self._life

        def wake() -> None:
            if self.state is None or self._life != life:
                return
            do()

        self._kernel.after(delay_ms, lambda: self.still.do(wake))

    def _tick(self) -> None:
        self._feed(ev.Tick())
        self._later(TICK_MS, self._tick)

    def _feed(self, event: ev.Event) -> None:
        if self.state is None:
            return
        if self._writing:
            if not isinstance(event, ev.Tick):
                self._waiting.append(event)
            return
        before = self.state
        try:
            self._decided_ms = self.now_ms()
            self.state, actions = step(before, event, self._decided_ms)
        except InvariantBroken as error:
            raise Broken("controller invariant", str(error)) from error
        except LeadershipLost as error:
            raise Broken("leadership", f"lost, though nobody else leads: {error}") from error
        if isinstance(event, ev.Configured):
            self._configured(before, event, actions)
        if isinstance(event, ev.Requested | ev.PlanAsked) and event.dry_run and len(actions) != 1:
            raise Broken("dry run", f"{event} was to be tried only, and did {actions}")
        # Most Ticks change nothing, and there are many; one that begins a plan shows why it does.
        if not isinstance(event, ev.Tick) or self.state.plan is not before.plan:
            self._watch.controller_stepped(self.state, event, self.now_ms())
        if actions:
            self._write(self.state, actions)

    def _configured(self, before: State, event: ev.Configured, actions: list[Action]) -> None:
        """Declare what was taken; to try it out at that moment says the same, and does nothing."""
        _, tried = step(before, replace(event, dry_run=True), self._decided_ms)
        if len(tried) != 1 or _accepted(tried) is not _accepted(actions):
            raise Broken("dry run", f"of {event.id} said {tried}, and then it came to {actions}")
        if _accepted(actions):
            self._take(event.specs)

    def _write(self, state: State, actions: list[Action]) -> None:
        """The store first: what follows, and every other event, waits until it is written."""
        swaps = any(isinstance(action, act.Swap | act.SavePlan) for action in actions)
        if not swaps or self._kernel.now_ms >= self.writes_slow_until_ms:
            self._perform(state, actions)
            return
        self._writing = True
        write_ms = self._kernel.between(1, SLOW_WRITE_MOST_MS)
        self._later(write_ms, lambda: self._written(state, actions))

    def _written(self, state: State, actions: list[Action]) -> None:
        self._writing = False
        self._perform(state, actions)
        while self._waiting and not self._writing and self.state is not None:
            self._feed(self._waiting.popleft())

    def _perform(self, state: State, actions: list[Action]) -> None:
        swaps = any(isinstance(action, act.Swap | act.SavePlan) for action in actions)
        for action in actions:
            self._do(state, action)
            if swaps and self._dies():
                self.crash(self._kernel.between(50, 4000))
                return

    def _dies(self) -> bool:
        if self.crashes_after_actions < 0:
            return False
        self.crashes_after_actions -= 1
        return self.crashes_after_actions < 0

    def _do(self, state: State, action: Action) -> None:
        match action:
            case act.Swap():
                self._swap(state, action)
            case act.Found():
                self.store.found(self._kernel.now_ms, action.record)
                self._watch.swapped(self._kernel.now_ms, None, action.record)
            case act.SavePlan():
                self._save_plan(state, action)
            case act.SendOrder():
                order = Order(
                    self._header(), action.agent, state.term, state.generation, (action.assignment,)
                )
                host = self._wires.hosts[action.agent]
                self._network.send(HUB, action.agent, encode(order), host.take_order)
            case act.SendGrant():
                self._grant(action)
            case act.SendProbes():
                order = Order(
                    self._header(),
                    action.agent,
                    state.term,
                    state.generation,
                    (),
                    action.probe_list,
                    action.probes,
                )
                host = self._wires.hosts[action.agent]
                self._network.send(HUB, action.agent, encode(order), host.take_order)
            case act.ReadRecord():
                record = self.store.records[action.service_uid]
                read = ev.RecordRead(record, action.agent, action.start_nonce)
                self._later(self._read_ms(), lambda: self._feed(read))
            case act.KeepCautions():
                self.store.cautions = action.cautions
            case act.Note():
                told = action.happening
                self._kernel.tell(told.subject, f"{told.what}: {told.because}")
            case act.Answer():
                said = "yes" if action.accepted else f"no ({'; '.join(action.unmet)})"
                self._kernel.tell(CONTROLLER, f"answers {action.request_id}: {said}. {action.text}")
                self._watch.answered(self._kernel.now_ms, action)

    def _read_ms(self) -> int:
        slow = self._kernel.now_ms < self.reads_slow_until_ms
        return self._kernel.between(0, SLOW_READ_MOST_MS if slow else READ_MOST_MS)

    def _swap(self, state: State, action: act.Swap) -> None:
        old = self.store.records[action.record.service_uid]
        if not self.store.swap(
            self._kernel.now_ms, action.record, action.expected_revision, state.term
        ):
            raise Broken("store", "a swap of the only leader failed")
        new, change = action.record, action.transition
        self._kernel.tell(
            CONTROLLER,
            f"{new.service}: {change.from_phase} -> {change.to_phase}, revision {new.revision}, "
            f"epoch {new.epoch}, primary {new.primary}: {change.because}",
        )
        self._watch.swapped(self._kernel.now_ms, old, new)
        self._watch.told(self._kernel.now_ms, change, old, new)

    def _save_plan(self, state: State, action: act.SavePlan) -> None:
        plan, old = action.plan, self.store.plans.get(action.plan.id)
        if not self.store.save_plan(
            self._kernel.now_ms, plan, action.expected_revision, state.term
        ):
            raise Broken("store", "a change of a plan by the only leader failed")
        for change in action.changes:
            what = f"{change.service} {change.step}" if change.service else change.status.value
            self._kernel.tell(CONTROLLER, f"{plan.id}: {what}: {change.because}")
        self._watch.planned(self._kernel.now_ms, old, plan)

    def _grant(self, action: act.SendGrant) -> None:
        for granted in action.grants:
            self._note_promise(action.agent, granted)
        raw = encode(Grant(self._header(), action.agent, action.grants))
        host = self._wires.hosts[action.agent]
        self._network.send(HUB, action.agent, raw, host.take_grant)

    def _note_promise(self, holder: str, granted: Granted) -> None:
        if granted.ttl_ms:
            end_ms = self._decided_ms + grantor_window_ms(granted.ttl_ms)
            true_end_ms = self._clock.soonest_ms(end_ms, self._kernel.now_ms)
            self._watch.granted(self._kernel.now_ms, holder, granted, true_end_ms)

    def _header(self) -> Header:
        self._sequence += 1
        boot_id, life = f"boot-{self._boots}", f"{self._life}-controller"
        return Header(CLUSTER, CONTROLLER, boot_id, life, self._sequence)


def _accepted(actions: list[Action]) -> bool:
    return any(isinstance(action, act.Answer) and action.accepted for action in actions)
