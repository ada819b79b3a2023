"""Drives the layers of the fence for the guard: what is wished, and how each layer took it.

In a thread, for the kernel takes rules one after the other and a watchdog's driver may dawdle:
the guard's loop keeps the deadline meanwhile, and answers `lease` only when every required layer
has been armed; for one that is not required no primary shall lose its lease. The newest wish
counts; one that was overtaken is never carried out.
Standard library only, as all of the guard.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from agents.fences.base import ARMED, CLOSED, MISSING, OPEN, FenceError, Layer
from agents.fences.nftables import Nftables
from agents.fences.process import Process, come_first
from agents.fences.watchdog import Watchdog
from agents.guard.clocks import Clocks
from agents.guard.wire import Connection, Refusal, whole_number

TICK_S = 0.1
END_LIMIT_S = 3
RETRY_TICKS = 50
LEASE_LIMIT_MS = 3_600_000
STACK_BYTES = 512 * 1024
BEGUN = "begun"
"""No layer stands so: it is wished when a guard is told its layers for the first time."""
REQUIRED, IF_PRESENT, OFF = "required", "if_present", "off"


Act = Callable[[Layer, "Wish"], None]


class Wish(NamedTuple):
    """How the layers shall stand. `ttl_ms`: of the lease; 0 when unknown."""

    state: str
    deadline_ms: int = 0
    end_ms: int = 0
    ttl_ms: int = 0
    alone: bool = False


class Standing(NamedTuple):
    """How one layer stands. `why`: what it lacks, or what is worth knowing."""

    name: str
    state: str
    required: bool
    why: str
    mend: str
    least_ttl_ms: int


class Stacked(NamedTuple):
    """A layer and whether a lease needs it."""

    layer: Layer
    required: bool


class Pending:
    """A request that is answered when its wish is carried out."""

    def __init__(
        self, number: int, wish: Wish | None, finish: Callable[[], dict[str, Any]]
    ) -> None:
        """`wish`: of a lease. `finish` gives the answer, or raises Refusal."""
        self.number = number
        self.wish = wish
        self.head: dict[str, Any] = {}
        self.connection: Connection | None = None
        self._finish = finish

    def is_over(self, fences: Fences) -> bool:
        """A lease needs the required layers alone; who asks how all stand waits for all."""
        ask = fences.needed_done if self.wish else fences.done
        return ask(self.number)

    def settle(self) -> None:
        try:
            self._say({"ok": True, **self._finish()})
        except Refusal as refusal:
            self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        self._say({"ok": False, "code": refusal.code, "error": str(refusal)})

    def _say(self, answer: dict[str, Any]) -> None:
        if self.connection:
            self.connection.say({**self.head, **answer})


class Fences:
    """The layers of one guard. Everything but `_work` is called by the guard's loop."""

    def __init__(self, process: Process) -> None:
        self._process = Stacked(process, True)
        self._stack: tuple[Stacked, ...] = (self._process,)
        self._removed: list[Layer] = []
        self._wish, self._number, self._done = Wish(OPEN), 0, 0
        self._standing: tuple[Standing, ...] = (_standing(self._process, None),)
        self._needed: tuple[Standing, ...] = self._standing
        self._needed_done = 0
        self._changed = threading.Condition()
        self._told, self._telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False
        self._left: list[str] = []
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        """Readable when a wish was carried out, until `drain`."""
        return self._told

    def drain(self) -> None:
        """Before `done` is asked."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._told, 4096)

    def configure(self, layers: list[Stacked]) -> None:
        """From the next wish on these are the layers; those that they replace are removed."""
        with self._changed:
            known = {layer.identity: layer for layer, _ in self._stack[1:]}
            heirs = [
                Stacked(layer.after(known.pop(layer.identity, None)), required)
                for layer, required in layers
            ]
            self._removed += known.values()
            self._stack = (self._process, *heirs)
            if heirs or known:
                self._start()

    def wish(self, wish: Wish) -> int:
        """Returns its number, for `done`."""
        with self._changed:
            self._wish = wish
            self._number += 1
            if self._thread is None:
                _apply(self._process.layer, wish)
                self._standing, self._done = (_standing(self._process, None),), self._number
                self._needed, self._needed_done = self._standing, self._number
            self._changed.notify()
            return self._number

    @property
    def wished(self) -> Wish:
        return self._wish

    def done(self, number: int) -> bool:
        """Whether this wish, or one after it, is carried out by all layers."""
        return self._done >= number

    def needed_done(self, number: int) -> bool:
        """Whether it is by those that are required."""
        return self._needed_done >= number

    def told(self) -> list[dict[str, Any]]:
        """How each layer stands, as it goes over the guard's socket."""
        return [standing._asdict() for standing in self._standing]

    def need(self, ttl_ms: int) -> None:
        """Refuses, unless all that is required holds for a lease of this length."""
        for standing in self._needed:
            if standing.state == MISSING:
                text = f"the fence {standing.name} is required and missing: {standing.why}"
                raise Refusal("refused", f"{text}; {standing.mend}")
            if 0 < ttl_ms < standing.least_ttl_ms:
                text = f"the fence {standing.name} is required and needs leases of"
                raise Refusal("refused", f"{text} {standing.least_ttl_ms} ms or more")

    def end(self) -> list[str]:
        """Remove everything; what was left, and why. Waits for it, but not for ever."""
        if self._thread is None:
            return []
        with self._changed:
            self._removed += [stacked.layer for stacked in self._stack[1:]]
            self._stack = (self._process,)
            self._ending = True
            self._changed.notify()
        self._thread.join(END_LIMIT_S)
        return self._left

    def _start(self) -> None:
        if self._thread is None:
            threading.stack_size(STACK_BYTES)
            self._thread = threading.Thread(target=self._work, daemon=True, name="fences")
            self._thread.start()

    def _work(self) -> None:
        come_first()
        ticks, failed = 0, False
        while True:
            with self._changed:
                if self._number == self._done and not self._removed and not self._ending:
                    self._changed.wait(TICK_S)
                wish, number, stack = self._wish, self._number, self._stack
                removed, self._removed = self._removed, []
                ending = self._ending
            if ending:
                self._remove(removed)
                return
            ticks = (ticks + 1) % RETRY_TICKS
            anew = number != self._done or (failed and ticks == 0)
            act = _apply if anew else _tick
            standing = self._carry_out(stack, act, wish, number)
            if not anew:
                standing = tuple(map(_kept_missing, standing, self._standing))
            failed = any(one.state == MISSING for one in standing)
            self._remove(removed)
            self._standing, self._done = standing, number
            if anew:
                self._tell_loop()

    def _carry_out(
        self, stack: tuple[Stacked, ...], act: Act, wish: Wish, number: int
    ) -> tuple[Standing, ...]:
        """What is required comes first, and is told: a lease waits for nothing else."""
        stands = {s.layer.name: _tried(s, act, wish) for s in stack if s.required}
        if act is _apply:
            self._needed, self._needed_done = tuple(stands.values()), number
            self._tell_loop()
        stands |= {s.layer.name: _tried(s, act, wish) for s in stack if not s.required}
        return tuple(stands[stacked.layer.name] for stacked in stack)

    def _tell_loop(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._telling, b".")

    def _remove(self, layers: list[Layer]) -> None:
        for layer in layers:
            try:
                layer.remove()
            except FenceError as error:
                self._left.append(f"{layer.name}: {error}; {error.mend}")


class Waiting:
    """The requests that wait, in the order in which they came."""

    def __init__(self) -> None:
        self._pending: list[Pending] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, pending: Pending) -> None:
        self._pending.append(pending)

    def settle(self, fences: Fences) -> None:
        """Answer those whose wish was carried out."""
        over = [p for p in self._pending if p.is_over(fences)]
        self._pending = [pending for pending in self._pending if pending not in over]
        for pending in over:
            pending.settle()

    def refuse_leases(self, why: str) -> None:
        """What they waited for is no longer what shall be."""
        for pending in self._pending:
            if pending.wish:
                pending.refuse(Refusal("refused", why))
        self._pending = [pending for pending in self._pending if pending.wish is None]

    def lease(self) -> Wish | None:
        """What the newest lease among them wants."""
        return next((p.wish for p in reversed(self._pending) if p.wish), None)


def layers_of(request: dict[str, Any]) -> list[Stacked]:
    """What a request `fences` asks for. Raises Refusal."""
    service, address = request.get("service"), request.get("address")
    partners, device = request.get("partners", []), request.get("watchdog_device", "")
    if not isinstance(service, str) or not isinstance(address, str):
        raise Refusal("malformed", "service, address: strings")
    if not isinstance(partners, list) or not isinstance(device, str):
        raise Refusal("malformed", "partners: a list of addresses; watchdog_device: a path")
    made: dict[str, Callable[[], Layer]] = {
        "nftables": lambda: Nftables(service, address, tuple(partners)),
        "watchdog": lambda: Watchdog(device),
    }
    stack = []
    for name, make in made.items():
        demand = request.get(name, OFF)
        if demand not in (REQUIRED, IF_PRESENT, OFF):
            raise Refusal("malformed", f"{name}: required, if_present or off")
        try:
            if demand != OFF:
                stack.append(Stacked(make(), demand == REQUIRED))
        except ValueError as error:
            raise Refusal("malformed", f"{name}: {error}") from None
    return stack


def lease_wish(request: dict[str, Any], in_force: Wish, clocks: Clocks, now_ms: int) -> Wish:
    """What a request `lease` asks for: never less than what is in force. Raises Refusal."""
    missed_ms = clocks.jumped_since_ms(whole_number(request, "asked_ms", now_ms))
    deadline_ms = whole_number(request, "deadline_ms") - missed_ms
    end_ms = max(deadline_ms, whole_number(request, "end_ms", deadline_ms) - missed_ms)
    if not now_ms < deadline_ms <= now_ms + LEASE_LIMIT_MS:
        raise Refusal("refused", f"deadline_ms {deadline_ms} is past, or over an hour away")
    wish = Wish(ARMED, deadline_ms, end_ms, whole_number(request, "ttl_ms", 0))
    if in_force.state == ARMED and in_force.deadline_ms >= deadline_ms:
        return in_force._replace(ttl_ms=wish.ttl_ms)
    return wish


def _apply(layer: Layer, wish: Wish) -> None:
    if wish.state == BEGUN:
        layer.begin()
    elif wish.state == CLOSED:
        layer.close()
    elif wish.state == ARMED:
        if 0 < wish.ttl_ms < layer.least_ttl_ms:
            text = f"leases of {wish.ttl_ms} ms are too short for it"
            raise FenceError(text, f"it takes {layer.least_ttl_ms} ms or more")
        layer.arm(wish.deadline_ms, wish.end_ms)
    else:
        layer.open(wish.alone)


def _tick(layer: Layer, _: Wish) -> None:
    layer.tick()


def _tried(stacked: Stacked, act: Act, wish: Wish) -> Standing:
    try:
        act(stacked.layer, wish)
    except FenceError as error:
        return _standing(stacked, error)
    except Exception as error:  # noqa: BLE001 - whatever befalls a layer, the others must stand
        return _standing(stacked, FenceError(f"{type(error).__name__}: {error}", "report this"))
    return _standing(stacked, None)


def _standing(stacked: Stacked, error: FenceError | None) -> Standing:
    layer = stacked.layer
    if error is None:
        return Standing(
            layer.name, layer.state, stacked.required, layer.note, "", layer.least_ttl_ms
        )
    return Standing(
        layer.name, MISSING, stacked.required, str(error), error.mend, layer.least_ttl_ms
    )


def _kept_missing(now: Standing, before: Standing) -> Standing:
    """A tick that went well says nothing of what failed before it."""
    return before if before.state == MISSING and now.name == before.name else now
