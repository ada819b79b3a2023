"""A night that is written down, for what chance brings about too seldom."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from controller.core.model import BackupLoss, DiskFilling, Protection
from simulator.run import Result, Script, run_script
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike


class Night:
    """Service s1 at alpha, backed by bravo, PROTECTED from 5 s on at the latest.

    Seeds differ in how long everything takes.
    """

    seconds = 20
    """For how long it is bad, where nobody says otherwise."""

    def __init__(
        self,
        *strikes: Strike,
        lease: str = "fast",
        protection: Protection = Protection.ASYNC,
        loss_bound_bytes: int = 16 * 1024 * 1024,
        layers: tuple[str, ...] = (),
        tier: str = "rendah",
        backup_loss: BackupLoss = BackupLoss.ALONE,
        write_bytes: int = 500,
        moves: bool = False,
        rates_ppm: tuple[int, ...] = (),
    ) -> None:
        service = ServiceSetting(
            "s1",
            "alpha",
            "bravo",
            lease,
            protection,
            loss_bound_bytes,
            write_bytes=write_bytes,
            tier=tier,
            backup_loss=backup_loss,
            disk_filling=DiskFilling.SWITCHOVER if moves else DiskFilling.ALARM,
        )
        sites, fences = ("alpha", "bravo"), (layers, layers)
        self._setting = Setting(
            sites, (service,), ordered=False, rates_ppm=rates_ppm, fences=fences
        )
        self._strikes = strikes

    def live(self, seed: int, profile: str, seconds: int) -> Result:
        """One such world; the profile says what is promised in it."""
        return run_script(Script(seed, profile, seconds, self._setting, self._strikes))


class Company(Night):
    """Services that look at each other, at alpha, bravo and charlie; bravo may have so many cores
    only, and each is PROTECTED from 5 s on at the latest."""

    def __init__(
        self, *strikes: Strike, services: tuple[ServiceSetting, ...], cores: int = 0
    ) -> None:
        super().__init__(*strikes)
        limits = (("bravo", cores),) if cores else ()
        sites = ("alpha", "bravo", "charlie")
        self._setting = Setting(sites, services, ordered=False, capacities=limits)


def member(name: str, order: int = 0, **changes: Any) -> ServiceSetting:
    """A service at alpha, backed by bravo; with an order it is in a group."""
    group = "g1" if order else ""
    service = ServiceSetting(name, "alpha", "bravo", group=group, order=order)
    return replace(service, **changes)


class Pairs(Night):
    """Two pairs of sites that the controller knows: s1 and s2 at alpha, backed by bravo, s3 at
    charlie, backed by delta. The controller has listened for long enough from 9 s on."""

    def __init__(
        self,
        *strikes: Strike,
        services: tuple[ServiceSetting, ...] = (),
        goes_home: bool = False,
        seconds: int = Night.seconds,
    ) -> None:
        super().__init__(*strikes)
        self.seconds = seconds
        usual = (member("s1", 1), member("s2", 2), ServiceSetting("s3", "charlie", "delta"))
        self._setting = Setting(
            ("alpha", "bravo", "charlie", "delta"),
            services or usual,
            ordered=False,
            pairs=(("alpha", "bravo"), ("charlie", "delta")),
            goes_home=goes_home,
        )
