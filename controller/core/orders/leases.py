"""The controller as a grantor: the check and the answer of a grant are one step."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import ServiceState
from controller.core.moment import loss
from controller.core.orders.assignments import controller_grants
from protocol.messages import Ask, Granted
from protocol.windows import grantor_window_ms

GREATEST_LEAP = 1_000_000
"""A revision further ahead of the store than this is a mistake, not a restored store."""


def believable(service: ServiceState, revision: int, epoch: int = 0) -> bool:
    """Whether a store could have been restored so far back as this says."""
    record = service.record
    return revision <= record.revision + GREATEST_LEAP and epoch <= record.epoch + GREATEST_LEAP


def answer(
    service: ServiceState, agent: str, ask: Ask, now_ms: int
) -> tuple[ServiceState, Granted]:
    """Grant or refuse one lease, and remember for how long it may be relied upon."""
    record = service.record
    refusal = _refusal(service, agent, ask)
    ttl_ms = 0 if refusal else record.terms.ttl_ms
    granted = Granted(
        service=ask.service,
        service_uid=ask.service_uid,
        epoch=record.epoch,
        revision=record.revision,
        nonce=ask.nonce,
        grantor_set=record.grantor_set,
        ttl_ms=ttl_ms,
        refusal=refusal,
    )
    if refusal:
        return service, granted
    promise_end_ms = max(service.promise_end_ms, now_ms + grantor_window_ms(ttl_ms))
    return replace(service, promise_end_ms=promise_end_ms), granted


def hear_proof(service: ServiceState, agent: str, ask: Ask, now_ms: int) -> ServiceState:
    """Note that the primary of this epoch committed. An unproven question is no sign of life."""
    record = service.record
    if believable(service, ask.revision):
        heard = max(service.heard_revision, ask.revision)
        service = replace(service, heard_revision=heard)
    if agent == record.primary:
        service = replace(service, primary_heard_ms=now_ms)
    if not ask.proven or agent != record.primary or ask.epoch != record.epoch:
        return service
    return replace(
        service,
        proven_ms=now_ms,
        proven_once=True,
        proven_revision=ask.revision,
        # Within one epoch nothing that was committed is taken back.
        proven_position_bytes=max(service.proven_position_bytes, ask.position_bytes),
        # A holder that restarted does not know its rate yet.
        proven_rate_bytes_s=ask.rate_bytes_s or service.proven_rate_bytes_s,
        heard_positions=loss.hear_position(service, ask.position_bytes, now_ms),
    )


def _refusal(service: ServiceState, agent: str, ask: Ask) -> str:
    record = service.record
    if agent != record.primary:
        return f"the primary is {record.primary}"
    if ask.epoch != record.epoch:
        return f"the epoch is {record.epoch}"
    if ask.revision > record.revision:
        return f"the store knows only revision {record.revision}"
    if not controller_grants(record):
        return f"no lease is granted in {record.phase.value}"
    if ask.illness or ask.handover:
        return "the primary itself says that it cannot commit"
    return ""
