"""An incident whose figures are those of its act, with what else is to be told of it."""

from __future__ import annotations

import msgspec

from lab.incidents.incident import Act


class Judged(msgspec.Struct, frozen=True):
    """What one incident came to."""

    act: Act
    broken: tuple[str, ...] = ()
    """What must not be, but was."""
    notes: tuple[str, ...] = ()
    """What else was seen, a sentence each."""

    def wrong(self) -> str:
        """What must not be; empty when all is well."""
        return "; ".join(f"{self.act.name}: {text}" for text in self.broken)

    def act_and_after(self) -> Act:
        """All of it is in the act."""
        return self.act


def judged(act: Act, broken: list[str], notes: list[str]) -> Judged:
    """With what no promise allows in any incident of a sync service or a held one."""
    if act.acked_lost:
        broken = [*broken, f"{act.acked_lost} acknowledged writes are lost"]
    if act.two_writers_s:
        broken = [*broken, f"two writers for {act.two_writers_s} s"]
    return Judged(act, tuple(broken), tuple(notes))
