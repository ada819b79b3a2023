"""The arguments and options that several commands of `saling` take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import Output

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="Name of the service.")]
Perhaps = Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="Name of one service.")]
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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; do nothing.")]
DespiteCaution = Annotated[
    bool, typer.Option("--despite-caution", help="Also to a site where caution is on.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return once it is accepted.")]
Patience = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86400, help="For how many seconds to watch it.")
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many changes, the newest.")]
Interval = Annotated[
    float, typer.Option(min=0.2, max=3600, help="Seconds between two looks of --watch.")
]


def milliseconds(duration_s: float | None) -> int | None:
    """Rounded up: who names what is shown has named enough."""
    return None if duration_s is None else math.ceil(round(duration_s * 1000, 3))
