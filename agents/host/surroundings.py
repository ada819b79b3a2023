"""What an agent tells beside its replicas: its ways to other sites, what is not well, its use."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from agents.core.commits import CommitTimes
from agents.core.symptoms import Board
from agents.engines.base import Engine
from agents.host.checks import CheckRunner
from agents.host.metrics import SurroundingsMetrics, View
from agents.host.posts_file import PostsFile
from agents.host.symptom_desk import SymptomDesk
from agents.host.symptom_watch import Certificate, SymptomWatch
from agents.host.usage import UsageWatch
from agents.metrics import Metrics
from agents.network.prober import Prober
from agents.network.voice import boot_id
from config.agent import AgentConfig
from protocol.messages import Order, Report


class Surroundings:
    """Begun once, within the group of the agent."""

    def __init__(
        self,
        config: AgentConfig,
        certificate: Certificate,
        engines: Iterable[Engine],
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        """`clock` is the boot-time one."""
        self._config = config
        self._certificate = certificate
        self._metrics = metrics
        self._clock = clock
        self._board = Board()
        self._prober: Prober
        data = (service.data_directory for service in config.services)
        self._usage = UsageWatch(data, engines)
        posts = PostsFile(config.state_directory, boot_id())
        is_open = config.symptoms.posts_without_certificate
        self.desk = SymptomDesk(self._board, clock, posts, is_open)

    def begin(self, context: ssl.SSLContext, group: asyncio.TaskGroup) -> None:
        """Start its tasks."""
        config, clock = self._config, self._clock
        self._prober = prober = Prober(config.agent, context, config.reached, group)
        checks = CheckRunner(config.symptoms.checks, self._board, clock)
        watch = SymptomWatch(
            config.symptoms, self._certificate, self._commits, prober, self._board, clock
        )
        group.create_task(checks.run(), name="checks")
        group.create_task(watch.run(), name="symptoms")
        group.create_task(self._usage.run(), name="usage")
        self._metrics.registry.register(SurroundingsMetrics(lambda: self._view(clock())))

    def take(self, order: Order) -> None:
        """Whom to probe, if the Order says so."""
        self._prober.take(order)

    def complete(self, report: Report, at_ms: int) -> Report:
        """The Report with what is known at this moment."""
        view = self._view(at_ms)
        return replace(
            report,
            probe_list=self._prober.list_name,
            paths=view.paths,
            symptoms=view.symptoms,
            usage=view.usage,
        )

    def _view(self, at_ms: int) -> View:
        usage = self._usage.usage
        return View(self._prober.paths(at_ms), self.desk.symptoms(at_ms), usage)

    def _commits(self) -> Iterator[tuple[str, CommitTimes]]:
        for service in self._config.services:
            yield service.name, self._metrics.timings(service.name).commits
