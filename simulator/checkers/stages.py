"""Nobody is moved to a site that is planned or suspended."""

from __future__ import annotations

from controller.core.model import Phase, Record, ServiceSpec
from controller.core.site_model import Stage
from simulator.watch import Broken, Watch


class StagesKept(Watch):
    """Knows of each copy the stage of its site, as the configuration in force has it."""

    def __init__(self) -> None:
        self._stages: dict[tuple[str, str], Stage] = {}

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        self._stages |= {(spec.uid, replica.agent): replica.stage for replica in spec.replicas}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if old is None or new.phase is not Phase.PROMOTING or old.phase is Phase.PROMOTING:
            return
        stage = self._stages.get((new.service_uid, new.primary), Stage.ACTIVE)
        if stage is not Stage.ACTIVE:
            raise Broken("stage", f"{new.service} is moved to {new.primary}, which is {stage}")
