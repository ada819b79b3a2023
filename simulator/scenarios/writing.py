"""Writes a scenario as the text that `reading` reads, so that what was shrunk can be kept."""

from __future__ import annotations

from controller.core.model import BackupLoss, DiskFilling
from simulator.parts.network import HUB
from simulator.scenarios.reading import DASHES, MOVES, split
from simulator.scenarios.script import Scenario
from simulator.setting import ServiceSetting, Setting
from simulator.strike import seconds


def write(scenario: Scenario) -> str:
    """The text of a scenario, without what was recorded."""
    story = [f"# {line}".rstrip() for line in scenario.story.splitlines()]
    head = [*story, f"seed {scenario.seed}", *_world(scenario.setting)]
    return "".join(f"{line}\n" for line in (*head, *_events(scenario)))


def with_record(text: str, record: str) -> str:
    """The same scenario, with what was recorded below it."""
    return f"{split(text)[0].rstrip()}\n{DASHES}\n{record}"


def _world(setting: Setting) -> list[str]:
    clocks = []
    for number, place in enumerate((HUB, *setting.sites)):
        ppm = setting.rate_ppm(number)
        if ppm:
            clocks.append(f"clock {place} {'fast' if ppm > 0 else 'slow'} by {abs(ppm)} ppm")
    layers = {site: setting.layers(site) for site in setting.sites}
    fences = [f"fence {site} {' '.join(which)}" for site, which in layers.items() if which]
    return [
        f"sites {' '.join(setting.sites)}",
        *(f"pair {one} {other}" for one, other in setting.pairs),
        *(["failback after_dwell"] if setting.goes_home else []),
        *(f"capacity {site} {cores}" for site, cores in setting.capacities),
        *map(_service, setting.services),
        f"weather {setting.weather}",
        *([] if setting.ordered else ["messages unordered"]),
        *clocks,
        *fences,
    ]


def _service(service: ServiceSetting) -> str:
    moves = f", {MOVES}" if service.disk_filling is DiskFilling.SWITCHOVER else ""
    group = f", group {service.group} {service.order}" if service.group else ""
    demands = f", demands {service.demand}" if service.demand else ""
    tier = f" {service.tier}," if service.tier != ServiceSetting.tier else ""
    return (
        f"service {service.name} at {service.primary} backed by {service.backup},{tier} "
        f"{service.lease}, {_protection(service)}, bound {service.loss_bound_bytes}B, "
        f"writes {service.write_bytes}B every {service.write_every_ms}ms{moves}{group}{demands}"
        f"{', local clients' if service.local_clients else ''}"
    )


def _protection(service: ServiceSetting) -> str:
    """`block` is sync, with commits that wait for a lost backup."""
    if service.backup_loss is BackupLoss.BLOCK:
        return BackupLoss.BLOCK.value
    return service.protection.value


def _events(scenario: Scenario) -> list[str]:
    """Strikes and healings in their order, and what is expected below the `at` it counts from."""
    events = [(strike.at_ms, f"at {seconds(strike.at_ms)} {strike}") for strike in scenario.strikes]
    events += [(at_ms, f"at {seconds(at_ms)} heal") for at_ms in scenario.heals_ms]
    # A stable sort: what is expected comes after what happens at the same time.
    events += [(e.from_ms, f"expect {e.text}") for e in scenario.expectations]
    lines = [line for _, line in sorted(events, key=lambda event: event[0])]
    last_ms = max((at_ms for at_ms, _ in events), default=0)
    if scenario.end_ms > last_ms:
        lines.append(f"at {seconds(scenario.end_ms)} end")
    return lines
