"""A backup falls behind on a slow road, the primary's site dies: a person decides, or two do.

The road from the primary to its partner is made slower than what clients write, until the lag is
beyond the service's loss bound; then everything of the primary's site is killed. The failover must
be held with its figures, while the partner writes nothing, until an approval by the real `saling`
names this epoch and this loss; those that do not, and that of the same person again, are refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.base.records import Answer, now_ms
from lab.clients.crowd import Crowd
from lab.incidents.incident import Watch, acked, act, numbers_at_primary, seconds
from lab.incidents.judged import Judged
from lab.incidents.same_rows import difference
from lab.judging.checks import loss
from lab.running.command import saling
from lab.running.four_sites import Lab

LOSS_BOUND = "256KiB"
ROAD_BYTES_S = 24 * 1024
CLIENTS = 8
RATE_PER_S = 50.0
BEYOND = 1.5
"""The lag that is waited for, in loss bounds."""
LAG_WAIT_S = 90.0
OK, REFUSED = 0, 4
SITI, AGUS, SRI = "siti", "agus", "sri"


@dataclass
class Said:
    """What `saling` answered to each approval."""

    lab: Lab
    service: str
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    approved_bytes: int = 0
    approved_s: float = 0.0

    async def approve(
        self, what: str, expected: int, by: str, epoch: int, loss_bytes: int, loss_s: float
    ) -> None:
        """Ask, and compare the exit code."""
        words = ("approve", self.service, "--by", by, "--reason", what, "--no-wait")
        loss = ("--loss-bytes", str(loss_bytes), "--loss-seconds", f"{loss_s:.1f}")
        code, text = await saling(self.lab, *words, "--epoch", str(epoch), *loss)
        self.answers.append(f"{what} {code}")
        if code != expected:
            self.broken.append(f"{what}: exit code {code}, not {expected}: {text.strip()[-300:]}")


async def loss_held(watch: Watch[Lab]) -> Judged:
    """The road to the backup is slowed until the loss bound is exceeded; the primary is killed."""
    lab, service = watch.lab, watch.service
    site = await lab.primary_site(service)
    partner = next(one for one in lab.plan.service(service).sites if one != site)
    said = Said(lab, service)
    begun_ms = now_ms()
    kept_before = {one.path for one in lab.quarantines(service, site) or []}
    async with Crowd(lab, service, clients=CLIENTS, rate_per_s=RATE_PER_S):
        await lab.links.slow(site, partner, bytes_s=ROAD_BYTES_S)
        lag_bytes = await _until_behind(lab, service)

        async def kill() -> None:
            lab.kill_site(site)

        async def end() -> None:
            await _decided(watch, said, partner)
            await lab.links.heal()

        done = await act(watch, "backup behind its bound, primary site killed", kill, end)
    lab.start_site(site)
    await lab.wait_until_whole(service)
    said.notes.insert(0, f"the backup was {lag_bytes} bytes behind when the primary was killed")
    said.notes.append(f"approvals and their exit codes: {', '.join(said.answers)}")
    await _compare(watch, said, site, begun_ms, kept_before)
    if done.two_writers_s:
        said.broken.append(f"two writers for {done.two_writers_s} s")
    if unlike := await difference(lab, service):
        said.broken.append(unlike)
    watch.quiet_since_ms = now_ms()
    return Judged(done, tuple(said.broken), tuple(said.notes))


async def _compare(
    watch: Watch[Lab], said: Said, site: str, since_ms: float, before: set[Path]
) -> None:
    """What was really lost, with what was approved. Every copy's rows are there by now."""
    lab, service = watch.lab, watch.service
    kept = [one for one in lab.quarantines(service, site) or [] if one.path not in before]
    inserts = [i for i in watch.inserts() if acked(i) and i.start_ms > since_ms]
    lost = set(loss(inserts, await numbers_at_primary(lab, service)).lost)
    old = [i.end_ms for i in inserts if i.site == site]
    first_ms = min((i.end_ms for i in inserts if i.n in lost), default=max(old))
    lost_s, lost_bytes = seconds(max(old) - first_ms), sum(one.bytes or 0 for one in kept)
    said.notes.append(
        f"lost: {len(lost)} writes of the client that always writes, of the last {lost_s:.1f} s; "
        f"{lost_bytes} bytes of log are in the old primary's quarantine"
    )
    if lost_bytes > said.approved_bytes or lost_s > said.approved_s:
        said.broken.append(
            f"more was lost than was approved: {lost_bytes} bytes of {lost_s} s, approved were "
            f"{said.approved_bytes} of {said.approved_s}"
        )


async def _until_behind(lab: Lab, service: str) -> int:
    seen = await lab.wait_for(
        "the backup to be behind the loss bound",
        lambda s: (s["lag_bytes"] or 0) > BEYOND * s["loss_bound_bytes"],
        service,
        LAG_WAIT_S,
    )
    return int(seen["lag_bytes"])


async def _decided(watch: Watch[Lab], said: Said, partner: str) -> None:
    """From the hold until the partner's reign has begun."""
    lab, service = watch.lab, watch.service
    seen = await lab.wait_for(f"{service} to be held", lambda s: s["held_for"] == "loss", service)
    held_ms = now_ms()
    epoch, loss_bytes, loss_s = seen["epoch"], seen["loss_bytes"], _whole_tenths(seen["loss_ms"])
    said.notes.append(
        f"held for {loss_bytes} bytes of {loss_s:.1f} s at most, {seen['loss_bound_bytes']} are "
        f"accepted: {seen['because']}"
    )
    figures = (loss_bytes, loss_s)
    await said.approve("a wrong epoch", REFUSED, SITI, epoch - 1, *figures)
    await said.approve("a stale loss in bytes", REFUSED, SITI, epoch, loss_bytes // 2, loss_s)
    await said.approve("a stale loss in seconds", REFUSED, SITI, epoch, loss_bytes, loss_s / 2)
    await said.approve("the first person", OK, SITI, epoch, *figures)
    await said.approve("the same person twice", REFUSED, SITI, epoch, *figures)
    await said.approve("the same person, written otherwise", REFUSED, "Si Ti", epoch, *figures)
    # An approval ends with the controller that took it: its age is not known to another.
    await lab.kill_controller()
    lab.controller.start()
    seen = await lab.wait_for("the hold", lambda s: s["held_for"] == "loss" and _heard(s), service)
    figures = (seen["loss_bytes"], _whole_tenths(seen["loss_ms"] or 0))
    said.notes.append(f"the controller anew: held for {figures[0]} bytes of {figures[1]:.1f} s")
    await said.approve("the second person, the first expired", OK, AGUS, epoch, *figures)
    await asyncio.sleep(1.0)
    held = await lab.last_known(service)
    if held["held_for"] != "loss" or _written(watch, partner, held_ms):
        said.broken.append(f"moved on an approval that had expired: {held['phase']}")
    said.approved_bytes, said.approved_s = figures
    await said.approve("another person", OK, SRI, epoch, *figures)
    if said.broken:
        raise RuntimeError("; ".join(said.broken))
    await lab.wait_for_phase(service, "ALONE")
    await said.approve("the same approval again", REFUSED, SRI, epoch, *figures)


def _heard(seen: dict[str, Any]) -> bool:
    return seen["loss_bytes"] is not None


def _written(watch: Watch[Lab], site: str, since_ms: float) -> bool:
    """Whether a site's engine committed anything that was asked since then."""
    asked = (p for p in watch.probes() if p.site == site and p.start_ms > since_ms)
    return any(p.answer is Answer.COMMITTED for p in asked)


def _whole_tenths(span_ms: int) -> float:
    """In seconds, rounded up: who names it names enough."""
    return -(-span_ms // 100) / 10
