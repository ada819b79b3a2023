"""What the controller's rules want done, in this order: persist first, then speak."""

from __future__ import annotations

from msgspec import Struct

from controller.core.happening import Happening
from controller.core.model import Record, Transition
from controller.core.plan_model import Plan, PlanChange
from controller.core.site_model import Caution
from protocol.messages import Assignment, Granted, Probe


class Swap(Struct, frozen=True, tag="swap"):
    """Replace the record, if the store still holds this revision and this leader's term.

    When it does not, this controller leads no more: none of the later actions may be done.
    """

    record: Record
    expected_revision: int
    transition: Transition


class Found(Struct, frozen=True, tag="found"):
    """Keep the first record of a new service, before anything is said of it.

    Where the store holds one already, this controller leads no more.
    """

    record: Record


class SavePlan(Struct, frozen=True, tag="save_plan"):
    """Store a plan, if the store still holds this revision of it (0: none) and this leader's term.

    When it does not, this controller leads no more: none of the later actions may be done.
    """

    plan: Plan
    expected_revision: int
    changes: tuple[PlanChange, ...]


class SendOrder(Struct, frozen=True, tag="send_order"):
    """Tell an agent what one of its replicas shall be."""

    agent: str
    assignment: Assignment


class SendGrant(Struct, frozen=True, tag="send_grant"):
    """Answer a holder's questions."""

    agent: str
    grants: tuple[Granted, ...]


class SendProbes(Struct, frozen=True, tag="send_probes"):
    """Tell an agent whom of the other sites it shall probe."""

    agent: str
    probe_list: str
    """The list's name, as its Report is to give it."""
    probes: tuple[Probe, ...]


class ReadRecord(Struct, frozen=True, tag="read_record"):
    """Read the service's record from the store now, and come back with RecordRead."""

    service_uid: str
    agent: str
    start_nonce: str


class Answer(Struct, frozen=True, tag="answer"):
    """What became of a request."""

    request_id: str
    accepted: bool
    text: str
    unmet: tuple[str, ...] = ()
    """What would have to be true for it, a sentence each; of a conflict: what leads on."""
    operation_id: str = ""
    conflict: bool = False
    """Not accepted because another operation of the service is under way."""


class KeepCautions(Struct, frozen=True, tag="keep_cautions"):
    """Store all cautions that there are now, so that a later life of the controller knows them."""

    cautions: tuple[Caution, ...]


class Note(Struct, frozen=True, tag="note"):
    """Write a line into the history. Nothing depends on it: one that cannot be stored is lost."""

    happening: Happening


Action = (
    Swap
    | Found
    | SavePlan
    | KeepCautions
    | Note
    | SendOrder
    | SendGrant
    | SendProbes
    | ReadRecord
    | Answer
)
