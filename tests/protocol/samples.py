"""One message of each kind with every field set, as version 1 of the schema writes it."""

from __future__ import annotations

from typing import Any

import msgspec

from protocol.messages import (
    CONTROLLER,
    Ask,
    Assignment,
    Goal,
    Grant,
    Granted,
    Header,
    LeaseTerms,
    Message,
    Mode,
    Order,
    Partner,
    Path,
    Probe,
    Renew,
    ReplicaReport,
    Report,
    Right,
    Role,
    Symptom,
    Usage,
)

CLUSTER = "pdn"
TERMS = LeaseTerms(2000, 400, 300, 1000, 3000, 1500)


def header(sender: str = "batam-1", sequence: int = 7, incarnation: str = "life-1") -> Header:
    return Header(CLUSTER, sender, "boot-1", incarnation, sequence, 1, 1, ("rewind",))


REPORT = Report(
    header(),
    (
        ReplicaReport(
            service="paspor",
            service_uid="u-paspor",
            revision=12,
            epoch=3,
            role=Role.STANDBY,
            mode=Mode.LEASED,
            system_identifier="7301234567890123456",
            timeline=4,
            writable=True,
            position_bytes=50331648,
            replayed_bytes=50331000,
            rate_bytes_s=4096,
            streaming=True,
            lag_ms=15,
            sync_active=True,
            lease_left_ms=1500,
            fenced=True,
            released=True,
            resumed=True,
            handover=True,
            illness="cannot execute UPDATE in a read-only transaction",
            stopped=True,
            promise_left_ms=900,
            refused_revision=11,
            primary_heard=True,
            primary_illness="wraparound",
            primary_position_bytes=50331648,
            primary_position_age_ms=120,
            primary_rate_bytes_s=4096,
            log_taken=True,
            doing="seeding 43 %",
            problem="none",
            cannot_promise=True,
            unfit="max_connections",
            renewal_gap_p999_ms=431,
            kill_p999_ms=38,
            quarantine="12 transactions are kept in /var/lib/saling/q",
            primary="jabodetabek-1",
            fences="process, nftables",
            fence_missing="watchdog: /dev/watchdog is no device",
            weakened="role batch: synchronous_commit = local",
            cancelled_waits=3,
            disk_low="96 MiB are free",
            disk_free_bytes=100663296,
            veto="by sri: cables are moved",
            veto_left_ms=7200000,
            start_nonce="3-9f.0",
        ),
    ),
    probe_list="p-7",
    paths=(
        Path(
            to="ikn-1",
            asked=20,
            lost=1,
            round_trip_us=18400,
            answer_age_ms=612,
            clock_ahead_ms=-3,
        ),
    ),
    symptoms=(Symptom(kind="temperature", text="hall 2 is at 41 C", age_ms=90000),),
    usage=Usage(millicores=2400, memory_bytes=2**33, storage_bytes=2**40, connections=120),
)
ORDER = Order(
    header(CONTROLLER),
    "batam-1",
    2,
    "generation-1",
    (
        Assignment(
            service="paspor",
            service_uid="u-paspor",
            term=2,
            revision=12,
            epoch=3,
            goal=Goal.BACKUP,
            right=Right.LEASED,
            primary="jabodetabek-1",
            grantors=(CONTROLLER, "batam-1"),
            grantor_set=2,
            terms=TERMS,
            partner=Partner("jabodetabek-1", "10.0.0.1:8701", "10.0.0.1:5432", "a2V5"),
            system_identifier="7301234567890123456",
            may_grant=True,
            countdown=True,
            take_log=True,
            sync=True,
            create=True,
            start_nonce="3-9f.0",
            moving=True,
        ),
    ),
    probe_list="p-7",
    probes=(Probe(agent="ikn-1", site="ikn", address="agent-1.ikn.example:8701"),),
)
RENEW = Renew(
    header("jabodetabek-1"),
    (
        Ask(
            service="paspor",
            service_uid="u-paspor",
            epoch=3,
            revision=12,
            nonce="3-9f.55",
            proven=True,
            position_bytes=50331648,
            rate_bytes_s=4096,
            mode=Mode.LEASED,
            illness="wraparound",
            handover=True,
        ),
    ),
)
GRANT = Grant(
    header(CONTROLLER),
    "jabodetabek-1",
    (
        Granted(
            service="paspor",
            service_uid="u-paspor",
            epoch=3,
            revision=12,
            nonce="3-9f.55",
            grantor_set=2,
            ttl_ms=2000,
            refusal="none",
            received_bytes=50331648,
        ),
    ),
)
SAMPLES: dict[str, Message] = {"report": REPORT, "order": ORDER, "renew": RENEW, "grant": GRANT}

ADDED = {
    "ReplicaReport": (
        "log_taken",
        "cannot_promise",
        "unfit",
        "renewal_gap_p999_ms",
        "kill_p999_ms",
        "quarantine",
        "primary",
        "fences",
        "fence_missing",
        "weakened",
        "cancelled_waits",
        "disk_low",
        "disk_free_bytes",
        "veto",
        "veto_left_ms",
    ),
    "Assignment": ("take_log", "moving"),
    "LeaseTerms": ("log_budget_ms",),
    "Report": ("probe_list", "paths", "symptoms", "usage"),
    "Order": ("probe_list", "probes"),
}
"""What came after the first record of version 1, by message: it has a default."""


def as_first_recorded(value: Any) -> Any:
    """A sample as it was before anything was added."""
    if isinstance(value, tuple):
        return tuple(as_first_recorded(item) for item in value)
    if not isinstance(value, msgspec.Struct):
        return value
    added = ADDED.get(type(value).__name__, ())
    kept = {
        field.name: as_first_recorded(getattr(value, field.name))
        for field in msgspec.structs.fields(value)
        if field.name not in added
    }
    return type(value)(**kept)


RECORDED: dict[tuple[str, str], Message] = {
    **{("v1", kind): as_first_recorded(message) for kind, message in SAMPLES.items()},
    **{("v1-extended", kind): message for kind, message in SAMPLES.items()},
}
"""By the folder and the name of the fixture."""
