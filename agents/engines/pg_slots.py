"""The statements that keep a standby's slot on its primary."""

from __future__ import annotations


def ensure_slot_sql(name: str) -> str:
    """A slot of this name that keeps log from now on; nothing where there is one that does."""
    # A lost slot kept nothing: the standby that needs it has to be copied anew.
    quoted = "'" + name.replace("'", "''") + "'"
    return (
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        f" WHERE slot_name = {quoted} AND wal_status = 'lost' AND NOT active;"
        f" SELECT pg_create_physical_replication_slot({quoted}, true)"
        f" WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {quoted})"
    )
