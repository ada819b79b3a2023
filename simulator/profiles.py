"""Profiles of faults, as data: which kinds there are, how likely, and what must hold."""

from __future__ import annotations

from msgspec import Struct

HUB_FAULTS = {
    "controller_crash": 4, "controller_crash_mid": 2, "broker_down": 4, "slow_writes": 2,
}  # fmt: skip
HOST_FAULTS = {
    "agent_kill": 4,
    "agent_kill_mid": 4,
    "agent_pause": 3,
    "host_crash": 4,
    "guard_kill": 2,
    "engine_crash": 4,
    "engine_hang": 2,
    "engine_local": 2,
    "disk_full": 1,
    "disk_slow": 2,
    "data_fills": 2,
    "engine_stuck": 2,
    "look_slow": 2,
}
NET_FAULTS = {"cut_one_way": 4, "cut": 4, "isolate": 4, "storm": 3, "corner": 1, "ambush": 1}
OPERATORS = {"switchover": 5, "failover": 2, "approve": 2, "pause": 1, "resume": 1}
CONFIGURATION = {
    "configure_lease": 3,
    "configure_protection": 3,
    "configure_backup_loss": 3,
    "configure_loss_bound": 1,
}
RELOADS = {
    "reload_lease": 3,
    "reload_protection": 3,
    "reload_backup_loss": 3,
    "reload_loss_bound": 1,
    "reload_stage": 4,
    "reload_leave": 4,
}
BAD_MAIL = {"stall": 4, "corrupt": 3, "replay": 6, "broker_restart": 4}
CLOCKS = {"host_freeze": 6, "guard_pause": 2, "clock_change": 3, "hub_reboot": 2}
STILLNESS = {
    "host_freeze": 3, "host_suspend": 3, "machine_pause": 3, "guard_pause": 4,
    "guards_and_agent_pause": 5, "agent_pause": 2,
}  # fmt: skip
ENGINES = {
    "engine_crash": 4, "engine_hang": 3, "engine_stuck": 2, "recovery_slow": 4, "promotion_hang": 4,
    "rewind_fails": 4, "slow_log": 4,
}  # fmt: skip
MAINTENANCE = {"maintenance": 12, "maintenance-begin": 4, "maintenance-end": 4}
HOLDS = {"hold": 8, "release": 5, "alarm": 8}
VETOES = {"veto": 16, "release_veto": 3}
SITES = {
    "isolate": 4, "isolate_hub": 3, "cut": 4, "cut_one_way": 4, "host_crash": 4, "broker_down": 1,
    "controller_crash": 2, "controller_pause": 1, "agent_kill": 1, "storm": 2, "ail": 6, "post": 2,
    "caution": 2,
}  # fmt: skip
PLANS = {
    "plan_evacuate": 6, "plan_failover": 3, "plan_failback": 3, "plan_drill": 4,
    "plan_there_and_back": 4, "plan_try": 1, "plan_resume": 1, "caution": 1,
}  # fmt: skip

MOVED = {"ail": 6, "post": 2, "caution": 1, "plan_there_and_back": 5, "plan_resume": 1}
"""Reasons to move a site, and operators who do: none of them strikes another place."""


class Profile(Struct, frozen=True):
    """What a seed may draw from. Weights are relative."""

    name: str
    kinds: dict[str, int]
    about: str
    one_site: bool = False
    """Whether the faults of hosts strike one site only, drawn by the seed."""
    must_not_fence: str = ""
    """The invariant that these faults fence nobody, if they must not."""
    not_promised: tuple[str, ...] = ()
    """What may break once `Excuses` says so, each for a reason in docs/simulated-faults.md."""
    swarm: bool = True
    """Whether each seed draws a part of the kinds only."""
    doors: bool = False
    """Whether every site has a fence in the kernel, and no client comes by any other way."""
    strays: bool = False
    """Whether layers are drawn, and a copy may write where no promise is made (`Host.excused`)."""
    pairs: bool = False
    """Whether the controller knows the sites, in pairs, and services stand in groups."""
    site_dies: bool = False
    """One site that is primary dies for good; its partner must take over."""


PROFILES = {
    p.name: p
    for p in (
        Profile(
            "everything",
            {
                **HUB_FAULTS, **HOST_FAULTS, **NET_FAULTS, **OPERATORS,
                "controller_pause": 2, "engine_shared": 1, "waits_cancelled": 1,
            },
            "every fault anywhere, and operators at bad moments",
        ),
        Profile(
            "crashes",
            {
                "controller_crash": 2, "controller_crash_mid": 5, "agent_kill": 3,
                "agent_kill_mid": 6, "ambush": 3, "host_crash": 4, "guard_kill": 1,
                "engine_crash": 3, "switchover": 4,
            },
            "processes and hosts die, above all right after a write to disk",
        ),
        Profile(
            "network", {**NET_FAULTS, "broker_down": 3, "switchover": 3, "engine_crash": 1},
            "links break one way and both, messages are lost, doubled, late",
        ),
        Profile(
            "mail",
            {
                **BAD_MAIL, "storm": 2, "slow_log": 3, "slow_reads": 2, "controller_crash": 3,
                "hub_reboot": 1, "agent_kill": 3, "engine_crash": 2, "switchover": 3,
            },
            "old messages come again, broken or late ones come, brokers lose what they held",
        ),
        Profile(
            "clocks",
            {
                **CLOCKS, "controller_pause": 2, "agent_pause": 2, "cut": 2, "host_crash": 2,
                "switchover": 3,
            },
            "hosts stand still and go on, clocks run faster and slower, hosts boot anew",
            doors=True,
        ),
        Profile(
            "still",
            {
                **STILLNESS, "cut": 2, "isolate": 3, "agent_kill": 1, "guard_kill": 1,
                "host_crash": 1, "switchover": 3,
            },
            "guards, agents and whole machines stand still, behind every fence and behind none",
            strays=True,
        ),
        Profile(
            "engines",
            {
                **ENGINES, "engine_unfit": 2, "engine_local": 2, "engine_shared": 2,
                "engine_unfenced": 2, "host_crash": 2, "switchover": 4,
            },
            "recoveries are long, promotions hang, rewinds fail, the log comes late",
        ),
        Profile(
            "sync",
            {
                "put_back": 6, "waits_cancelled": 3, "host_crash": 3, "isolate": 3, "cut": 4,
                "engine_crash": 2, "engine_hang": 1, "engine_shared": 1, "agent_kill": 2,
                "switchover": 3, "maintenance-begin": 1, "maintenance-end": 2,
                "slow_log": 2,
            },
            "backups are lost, and come back on an older disk", swarm=False,
        ),
        Profile(
            "full_disks",
            {
                "disk_full": 6, "disk_slow": 3, "switchover": 3, "engine_crash": 3, "isolate": 3,
                "host_crash": 2, "controller_crash": 1, "data_fills": 8, "engine_stuck": 2,
                "pause": 1, "resume": 1,
            },
            "the disks of promises are full or slow, those of data fill or hang",
        ),
        Profile(
            "lying_disks",
            {
                "writes_forgotten": 6, "agent_kill": 2, "cut": 2, "controller_crash": 2,
                "switchover": 4, "failover": 2,
            },
            "hosts crash and their disks have forgotten what they acknowledged",
            not_promised=("I1", "I3", "I4", "I5"),
        ),
        Profile(
            "corner",
            {"corner": 4, "ambush": 2, "controller_crash": 1, "engine_hang": 1},
            "the primary loses its grantors one after the other",
        ),
        Profile(
            "operators",
            {
                **OPERATORS, "two_at_once": 3, "wrong_approval": 2, "engine_crash": 2,
                "host_crash": 2, "isolate": 2,
            },
            "operators switch over, fail over, approve, pause and resume",
        ),
        Profile(
            "force",
            {
                "forced": 8, "maintenance": 3, "host_crash": 2, "isolate": 2, "agent_kill": 2,
                "controller_crash": 2, "cut_one_way": 2, "pause": 1, "resume": 1,
            },
            "primaries that stand alone are lost, and moved by force", swarm=False,
        ),
        Profile(
            "maintenance",
            {
                **HUB_FAULTS, **HOST_FAULTS, **NET_FAULTS, **OPERATORS, **MAINTENANCE,
                "controller_pause": 2, "engine_shared": 1,
            },
            "operators patch the hosts of backups, and every fault anywhere", swarm=False,
        ),
        Profile(
            "holds",
            {
                **HUB_FAULTS, **HOST_FAULTS, **NET_FAULTS, **OPERATORS, **HOLDS,
                "controller_pause": 2, "engine_shared": 1,
            },
            "operators and alarms put services on hold, and every fault anywhere", swarm=False,
        ),
        Profile(
            "vetoes",
            {
                **HUB_FAULTS, **HOST_FAULTS, **NET_FAULTS, **OPERATORS, **VETOES,
                "host_freeze": 2, "hold": 1,
            },
            "operators of hosts forbid that their role changes, and every fault anywhere",
            swarm=False, doors=True,
        ),
        Profile(
            "hub", HUB_FAULTS, "the controller and the broker alone fail",
            must_not_fence="I6", swarm=False,
        ),
        Profile(
            "one_site", {**HOST_FAULTS, **MAINTENANCE, "isolate": 4, "disk_full": 4},
            "one site alone fails", one_site=True, must_not_fence="I7",
        ),
        Profile(
            "one_of_pair", {**HOST_FAULTS, "isolate": 6, **MOVED},
            "one site alone fails and is moved, where sites stand in pairs and services in groups",
            one_site=True, must_not_fence="I7", swarm=False, pairs=True,
        ),
        Profile(
            "sites",
            {
                **SITES, "switchover": 3, "failover": 1, "disk_slow": 1, "pause": 1, "resume": 1,
                "controller_crash_mid": 1,
            },
            "sites are cut off, die and ail, and the controller is the blind one",
            swarm=False, pairs=True,
        ),
        Profile(
            "plans",
            {
                **PLANS, "isolate": 2, "cut": 2, "host_crash": 2, "agent_kill": 1,
                "engine_crash": 2, "controller_crash": 2, "controller_crash_mid": 4,
                "broker_down": 1, "slow_writes": 2, "switchover": 1, "hold": 1, "pause": 1,
                "resume": 1,
            },
            "operators move whole sites, pause and end plans, and every fault on their way",
            swarm=False, pairs=True,
        ),
        Profile(
            "configuration",
            {
                **CONFIGURATION, **OPERATORS, "host_crash": 2, "agent_kill_mid": 2, "isolate": 2,
                "engine_crash": 2, "controller_crash_mid": 2, "broker_down": 1,
            },
            "the configuration changes in the middle of operations and failures",
        ),
        Profile(
            "reloads",
            {
                **RELOADS, **OPERATORS, "configure_lease": 1, "host_crash": 2,
                "agent_kill_mid": 2, "isolate": 2, "cut": 2, "engine_crash": 2, "corner": 1,
                "controller_crash_mid": 2, "slow_writes": 1, "broker_down": 1,
            },
            "the controller reads its configuration anew while it leads on",
        ),
        Profile(
            "restored",
            {
                "store_restored": 6, "controller_crash": 2, "controller_crash_mid": 2,
                "slow_reads": 2, "switchover": 6, "approve": 6, "engine_crash": 3,
                "agent_kill": 2, "host_crash": 1, "configure_protection": 1,
            },
            "the controller comes back on an older copy of its store",
            not_promised=("I1", "I2", "I3", "I4", "I5"),
        ),
        Profile(
            "dead_site", {"storm": 2, "look_slow": 1, "controller_crash": 1},
            "the primary's site dies for good; its partner serves soon", site_dies=True,
        ),
    )
}  # fmt: skip
DEFAULT_PROFILE = "everything"
ALL = "all"
"""Stands for every profile, one after the other."""
