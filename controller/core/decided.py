"""What the rules decided on one event, small and exact: to be written down, and compared."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import msgspec
from msgspec import Struct

from controller.core.actions import (
    Action,
    Answer,
    Found,
    KeepCautions,
    Note,
    ReadRecord,
    SavePlan,
    SendGrant,
    SendOrder,
    SendProbes,
    Swap,
)

ENCODER = msgspec.json.Encoder()


class Change(Struct, frozen=True):
    """One change of a service's record, with its operator's sentence."""

    service: str
    revision: int
    from_phase: str
    to_phase: str
    because: str


class Decided(Struct, frozen=True, omit_defaults=True):
    """The decisions on one event, in their order."""

    changes: tuple[Change, ...] = ()
    actions: tuple[str, ...] = ()
    """One for each action: its kind, whom it concerns, and a checksum of all of it."""


def decided(actions: Iterable[Action]) -> Decided:
    """Write down what was decided."""
    changes, said = [], []
    for action in actions:
        if isinstance(action, Swap):
            changes.append(_change(action))
        said.append(f"{_name(action)} {_checksum(action)}")
    return Decided(tuple(changes), tuple(said))


def of_service(all_of_it: Decided, name: str, uid: str) -> Decided:
    """What of it concerns one service alone; a grant may answer for several and is left out."""
    changes = tuple(change for change in all_of_it.changes if change.service == name)
    mine = (f"change {name} ", f"found {name} ", f"order {name} to ", f"read {uid} for ")
    return Decided(changes, tuple(said for said in all_of_it.actions if said.startswith(mine)))


def _change(swap: Swap) -> Change:
    told = swap.transition
    return Change(told.service, told.revision, told.from_phase, told.to_phase, told.because)


def _name(action: Action) -> str:
    match action:
        case Swap():
            return f"change {action.record.service}"
        case Found():
            return f"found {action.record.service}"
        case SavePlan():
            return f"plan {action.plan.id}"
        case SendOrder():
            return f"order {action.assignment.service} to {action.agent}"
        case SendGrant():
            return f"grant to {action.agent}"
        case SendProbes():
            return f"probes to {action.agent}"
        case ReadRecord():
            return f"read {action.service_uid} for {action.agent}"
        case KeepCautions():
            return "keep cautions"
        case Note():
            return f"note {action.happening.about} {action.happening.subject}"
        case Answer():
            return f"answer {action.request_id}"


def _checksum(action: Action) -> int:
    """Cheap, for it is made while the rules wait; it meets accidents, and no forger."""
    return crc32(ENCODER.encode(action))
