"""The arguments and options that several commands of `saling` take, alone and in bundles.

A command names a bundle as one of its parameters, and `bundled` puts the options of the bundle
in its place: so each option is written once, and a command lists only what is its own.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cli.client import DEFAULT_URL, Client
from controller.cli.exits import Exit
from controller.cli.output import Output, answers

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="Name of the service.")]
Perhaps = Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="Name of one service.")]
Site = Annotated[str, typer.Argument(metavar="SITE", help="Name of the site.")]
Where = Annotated[
    str, typer.Option("--controller", envvar="SALING_CONTROLLER", help="URL of the controller.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="SALING_TOKEN_FILE", help="File with the API's token."),
]
Form = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]
By = Annotated[str, typer.Option(help="Who asks, if neither the token nor this session says.")]
LossBytes = Annotated[int | None, typer.Option(min=0, help="The loss that is accepted, in bytes.")]
LossSeconds = Annotated[
    float | None,
    typer.Option("--loss-seconds", min=0, max=1e9, help="The same loss as a time of commits."),
]
OverCapacity = Annotated[
    bool, typer.Option("--over-capacity", help="Also where the site has no room for it.")
]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Why = Annotated[str, typer.Option(help="Why, shown and kept in the history.")]
Lasts = Annotated[str, typer.Option("--for", help="For how long, such as 90m or 4h.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; do nothing.")]
DespiteCaution = Annotated[
    bool, typer.Option("--despite-caution", help="Also to a site where caution is on.")
]
AtOnce = Annotated[
    int,
    typer.Option(
        "--at-once", min=0, max=100,
        help="How many groups move at the same time; 0: as many as the configuration says.",
    ),
]  # fmt: skip
Now = Annotated[
    bool, typer.Option("--now", help="Also within the dwell time, or to a site that is not well.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return once it is accepted.")]
Patience = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86400, help="For how many seconds to watch it.")
]
Long = Annotated[
    float, typer.Option("--timeout", min=0.1, max=604800, help="For how many seconds to watch it.")
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many changes, the newest.")]
Interval = Annotated[
    float, typer.Option(min=0.2, max=3600, help="Seconds between two looks of --watch.")
]


class Bundle:
    """Options that go together; a command takes the whole of them as one parameter."""


@dataclass(frozen=True, kw_only=True)
class Reach(Bundle):
    """Where the controller is."""

    controller: Where = DEFAULT_URL
    token_file: TokenFile = None

    def client(self) -> Client:
        """Who asks it. Raises CommandFailed."""
        return Client(self.controller, self.token_file)


@dataclass(frozen=True, kw_only=True)
class Session(Reach):
    """Where the controller is, and in which form its answer is printed."""

    output: Form = Output.TABLE


@dataclass(frozen=True, kw_only=True)
class Said(Bundle):
    """Who asks, and why."""

    by: By = ""
    reason: Reason = ""

    def body(self, **more: Any) -> dict[str, Any]:
        """As the API takes it."""
        return {"by": self.by, "reason": self.reason, **more}


@dataclass(frozen=True, kw_only=True)
class SaidWhy(Said):
    """The same where nothing is done without a reason."""

    reason: Why = field()


@dataclass(frozen=True, kw_only=True)
class Watching(Bundle):
    """How what was asked for is watched."""

    dry_run: DryRun = False
    no_wait: NoWait = False
    timeout: Patience = 60.0


@dataclass(frozen=True, kw_only=True)
class Manner(Watching):
    """How it is asked for and watched."""

    yes: Yes = False


@dataclass(frozen=True, kw_only=True)
class SiteManner(Manner):
    """The same of a whole site, which takes longer."""

    timeout: Long = 3600.0


@dataclass(frozen=True, kw_only=True)
class DrillManner(Manner):
    """The same of a way there and back."""

    timeout: Long = 7200.0


@dataclass(frozen=True, kw_only=True)
class SiteFlags(Bundle):
    """How the services of a site are moved."""

    at_once: AtOnce = 0
    despite_caution: DespiteCaution = False


@dataclass(frozen=True, kw_only=True)
class AwayFlags(SiteFlags):
    """The same where they need not come back."""

    over_capacity: OverCapacity = False


@dataclass(frozen=True, kw_only=True)
class HomeFlags(AwayFlags):
    """The same of a way back."""

    now: Now = False


def bundled(run: Callable[..., Exit | None]) -> Callable[..., None]:
    """The command with the options of its bundles, each in the place of its bundle.

    What the command returns is the exit code; what the controller answered to who wants JSON is
    printed also where it said no.
    """
    own = inspect.signature(run, eval_str=True).parameters.values()
    bundles = {one.name: one.annotation for one in own if _is_bundle(one.annotation)}
    options = [option for one in own for option in _options(one)]

    def command(**given: Any) -> None:
        for name, bundle in bundles.items():
            taken = inspect.signature(bundle).parameters
            given[name] = bundle(**{option: given.pop(option) for option in taken})
        with answers(getattr(given.get("session"), "output", Output.TABLE)):
            raise typer.Exit(run(**given) or Exit.OK)

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__dict__["__signature__"] = inspect.Signature(options)
    return command


def milliseconds(duration_s: float | None) -> int | None:
    """Rounded up: who names what is shown has named enough."""
    return None if duration_s is None else math.ceil(round(duration_s * 1000, 3))


def _is_bundle(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Bundle)


def _options(one: inspect.Parameter) -> list[inspect.Parameter]:
    """What typer is shown of a parameter: the options of a bundle, else itself."""
    whole = (
        inspect.signature(one.annotation, eval_str=True).parameters.values()
        if _is_bundle(one.annotation)
        else [one]
    )
    return [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in whole]
