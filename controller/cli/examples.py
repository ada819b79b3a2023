"""What stands in the help of each command beside its options: examples, and where it is listed."""

from __future__ import annotations

import typer
from typer.models import CommandInfo

LOOK, SERVICE, SITE = "To look", "One service", "Whole sites"
CARE, OFFLINE = "To hold still, and to take care", "Configuration, proof, demonstration"

PANELS = {
    LOOK: ("status", "topology", "capacity", "explain", "what-if", "history", "timeline"),
    SERVICE: ("switchover", "failover", "approve"),
    SITE: ("evacuate", "failover-site", "failback", "drill", "plan"),
    CARE: ("pause", "resume", "hold", "release", "maintenance", "caution"),
    OFFLINE: ("reload", "validate", "replay", "demo", "version"),
}
"""The commands in the order in which `saling --help` lists them."""

EXAMPLES = {
    "status": ("saling status", "saling status paspor --watch"),
    "topology": ("saling topology",),
    "capacity": ("saling capacity",),
    "explain": ("saling explain paspor",),
    "what-if": (
        "saling what-if --lose batam",
        "saling what-if --cut jabodetabek batam --kill-controller",
    ),
    "history": ("saling history paspor --limit 50",),
    "timeline": (
        "saling timeline --last",
        "saling timeline --last --format markdown > incident.md",
        "saling timeline --site batam --since 2h",
        "saling timeline --since 2h --until 30m --format html > incident.html",
    ),
    "switchover": ("saling switchover paspor --dry-run", "saling switchover paspor --yes"),
    "failover": (
        "saling failover paspor --dry-run",
        "saling failover paspor --reason 'its primary is silent'",
        "saling failover paspor --force --epoch 4 --reason 'the host burns'",
        "saling failover paspor --force --epoch 4 --proof 'its socket is off, I stand before it'",
    ),
    "approve": (
        "saling approve paspor --epoch 4 --loss-bytes 20971520 --loss-seconds 4.1 --reason agreed",
    ),
    "evacuate": (
        "saling evacuate batam --dry-run",
        "saling evacuate batam --reason 'the cooling fails' --yes",
        "saling evacuate batam --at-once 2 --no-wait --yes",
    ),
    "failover-site": (
        "saling failover-site batam --dry-run",
        "saling failover-site batam --reason 'no power, nobody reaches it'",
    ),
    "failback": ("saling failback batam --dry-run", "saling failback batam --now --yes"),
    "drill": (
        "saling drill batam --dry-run",
        "saling drill batam --reason 'the monthly one' --yes",
        "saling drill --list",
        "saling drill --report > drill.md",
    ),
    "plan show": ("saling plan show", "saling plan show --last"),
    "plan list": ("saling plan list --limit 5",),
    "plan pause": ("saling plan pause --reason 'wait for the network people'",),
    "plan resume": ("saling plan resume",),
    "plan end": ("saling plan end --reason 'the rest stays'",),
    "pause": ("saling pause paspor --reason 'the schema changes'", "saling pause --reason 'storm'"),
    "resume": ("saling resume paspor", "saling resume"),
    "hold": (
        "saling hold --all --for 4h --reason 'files are encrypted'",
        "saling hold paspor --for 90m --reason 'its data look wrong'",
    ),
    "release": ("saling release --all", "saling release --site batam"),
    "maintenance begin": ("saling maintenance begin batam-1 --for 2h --reason 'kernel patches'",),
    "maintenance end": ("saling maintenance end batam-1",),
    "maintenance list": ("saling maintenance list",),
    "caution list": ("saling caution list",),
    "caution set": ("saling caution set batam --for 2d --reason 'flood'",),
    "caution end": ("saling caution end batam",),
    "caution volcano": ("saling caution volcano Lewotobi III --site labuan-bajo --for 7d",),
    "reload": ("saling reload --dry-run", "saling reload --reason 'a new service'"),
    "validate": ("saling validate topology.yaml --files",),
    "replay": ("saling replay /var/lib/saling/journal --service paspor",),
    "demo": ("saling demo --keep",),
    "version": ("saling version",),
}


def give_examples(app: typer.Typer) -> None:
    """Put the examples below the help of each command, and each command in its place."""
    panels = {name: panel for panel, names in PANELS.items() for name in names}
    order = list(panels)
    for command in app.registered_commands:
        command.epilog = _epilog(_name(command))
        command.rich_help_panel = panels[_name(command)]
    for group in app.registered_groups:
        group.rich_help_panel = panels[str(group.name)]
        for command in group.typer_instance.registered_commands if group.typer_instance else ():
            command.epilog = _epilog(f"{group.name} {_name(command)}")
    app.registered_commands.sort(key=lambda one: order.index(_name(one)))
    app.registered_groups.sort(key=lambda one: order.index(str(one.name)))


def _epilog(name: str) -> str:
    return "\n\n".join(("Examples:", *EXAMPLES[name]))


def _name(command: CommandInfo) -> str:
    return command.name or (command.callback.__name__ if command.callback else "")
