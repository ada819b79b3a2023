"""`saling-controller --config FILE`: starts everything in order, and ends it in reverse.

    configuration and keys -> store (locked) -> term -> rules -> broker -> link -> HTTP

Ends with 0 after SIGTERM or SIGINT, 2 for a configuration that cannot be used, 1 when it had
to stop: another controller leads, the store does not answer, a rule broke an invariant.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from config.loader import Loaded, load_topology
from config.problems import ConfigError
from config.topology import Topology
from controller.broker import BrokerError
from controller.core.invariants import InvariantBroken
from controller.core.step import LeadershipLost
from controller.drills.keeper import DrillKeeper
from controller.embedded import BrokerKeeper, embedded_login, make_broker
from controller.hazards.desk import HazardDesk
from controller.hazards.metrics import HazardCollector
from controller.hazards.polling import poll_all
from controller.inbox import Busy, Inbox, RulesFailed
from controller.journal import Journal
from controller.leading import lead
from controller.link import Link
from controller.logins import Secrets, SecretsUnusable, load_secrets
from controller.logs import set_up_logs
from controller.metrics.exporter import Metrics
from controller.reload.reload import Reloads
from controller.runtime import ControllerRuntime, boottime_ms
from controller.specs import RecordUnfit, Wish
from controller.stores.base import StoreError, StoreFailed
from controller.stores.sqlite import SqliteStore
from controller.stores.worker import StoreWorker
from controller.version import installed_version
from controller.voice import Voice
from controller.web.app import create_app
from controller.web.configuring import Configuring
from controller.web.drills import DrillRoutes
from controller.web.hazards import HazardRoutes
from controller.web.timeline import TimelineRoutes
from protocol.session import BrokerLogin

STOP_TIMEOUT_S = 5.0
HISTORY_REMEMBERED = 1000
OK, FAILED, UNUSABLE = 0, 1, 2

log = structlog.get_logger("controller")


class CannotListen(Exception):
    """The HTTP address cannot be had."""


MUST_STOP = (LeadershipLost, InvariantBroken, StoreError, BrokerError, CannotListen)


def main() -> None:
    """The command; ends the process."""
    arguments = _arguments()
    set_up_logs()
    code = _main(arguments.config, arguments.check)
    sys.stdout.flush()
    sys.stderr.flush()
    if code == FAILED:
        # A store call that hangs must not keep the process, and its lock, alive.
        os._exit(code)
    sys.exit(code)


def _main(config: Path, only_check: bool) -> int:
    try:
        loaded = load_topology(config)
        secrets = load_secrets(loaded.value, config)
    except (ConfigError, SecretsUnusable) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    for problem in loaded.warnings:
        print(problem.render(), file=sys.stderr)
    if only_check:
        print(f"{config}: can be used")
        return OK
    try:
        return _loop_runner()(serve(loaded, secrets))
    except RecordUnfit as error:
        print(f"{config}: {error}", file=sys.stderr)
        return UNUSABLE


Part = Coroutine[Any, Any, None]


async def serve(loaded: Loaded[Topology], secrets: Secrets) -> int:
    """Lead until told to stop, or until the controller must; the exit code."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    code = OK
    try:
        await _lead_until(stopped, loaded, secrets)
    except* MUST_STOP as group:
        for error in _leaves(group):
            log.critical("the controller stops", reason=str(error), kind=type(error).__name__)
        code = FAILED
    return code


async def _lead_until(stopped: asyncio.Event, loaded: Loaded[Topology], secrets: Secrets) -> None:
    """Everything in order; what was started last is ended first."""
    topology, reloads, drills = loaded.value, Reloads(loaded), DrillKeeper()
    cluster = topology.cluster.uid
    async with contextlib.AsyncExitStack() as stack:
        worker = StoreWorker(store := SqliteStore(topology.store.path, cluster))
        stack.push_async_callback(_bounded, worker.close)
        state, broken = await worker.call(lead, store, topology, boottime_ms)
        _tell_broken(broken)
        version = installed_version()
        metrics = Metrics(version)
        metrics.remember(await worker.call(store.history, None, HISTORY_REMEMBERED))
        journal = _journal(topology, version)
        stack.callback(journal.close)
        inbox = Inbox()
        logins, keeper = _brokers(topology, secrets)
        link = Link(logins, cluster, _agents(topology), inbox.put)
        voice = Voice(secrets.signer, cluster, state.term, state.generation, link.publish)
        runtime = ControllerRuntime(
            topology,
            worker,
            state,
            broken,
            inbox,
            voice,
            journal,
            lambda: link.brokers,
            metrics.note,
            configuration=lambda: reloads.status,
            drills=drills.known,
        )
        drills.attach(runtime)
        _attach(reloads, runtime, partial(_in_force, link, keeper, logins))
        metrics.watch(lambda: runtime.status, lambda: link.counts)
        hazards = _hazards(runtime, metrics)
        log.info("leading", term=state.term, generation=state.generation, cluster=cluster)
        async with asyncio.TaskGroup() as group:
            parts: dict[str, Part] = {"runtime": runtime.run()}
            if keeper is not None:
                parts["embedded broker"] = keeper.run()
            parts |= {"link": link.run(), "reloads": _reload_on_hangup(reloads)}
            polling = poll_all(topology.hazards.feeds, hazards, version)
            parts |= {"hazard feeds": polling, "drills": drills.run()}
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            more = _more(runtime, hazards, reloads)
            app = create_app(runtime, version, metrics.render, *secrets.of_the_api, more=more)
            async with _listening(app, topology.controller.listen):
                await stopped.wait()
                log.info("stopping")
            await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        await asyncio.wait([task], timeout=STOP_TIMEOUT_S)


def _tell_broken(broken: dict[str, str]) -> None:
    for uid, why in broken.items():
        log.error("a record cannot be read; its service is left alone", uid=uid, why=why)


def _journal(topology: Topology, version: str) -> Journal:
    declared = topology.journal
    return Journal(declared.directory, declared.max_size_bytes, declared.keep, version)


def _in_force(
    link: Link, keeper: BrokerKeeper | None, logins: tuple[BrokerLogin, ...], topology: Topology
) -> None:
    """Whom the controller hears, and who may log in, from now on."""
    link.declare(_agents(topology))
    if keeper is not None:
        keeper.declare(topology.cluster.uid, logins[0], sorted(_agents(topology)))


def _attach(
    reloads: Reloads, runtime: ControllerRuntime, in_force: Callable[[Topology], None]
) -> None:
    reloads.attach(runtime.configure, in_force, lambda: runtime.status)


async def _reload_on_hangup(reloads: Reloads) -> None:
    """SIGHUP asks for a reload; the log tells what came of it."""
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    try:
        while True:
            await asked.wait()
            asked.clear()
            try:
                await reloads.reload(Wish(by="SIGHUP"))
            except (Busy, RulesFailed, StoreFailed) as error:
                log.error("the configuration was not taken; the old one stays", why=str(error))
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _agents(topology: Topology) -> frozenset[str]:
    return frozenset(agent.id for agent in topology.agents)


def _more(
    runtime: ControllerRuntime, hazards: HazardDesk, reloads: Reloads
) -> tuple[web.RouteDef, ...]:
    return (
        *HazardRoutes(runtime, hazards).routes(),
        *TimelineRoutes(runtime).routes(),
        *Configuring(reloads).routes(),
        *DrillRoutes(runtime).routes(),
    )


def _hazards(runtime: ControllerRuntime, metrics: Metrics) -> HazardDesk:
    desk = HazardDesk(lambda: runtime.status.topology, runtime.submit, boottime_ms)
    metrics.registry.register(HazardCollector(desk, lambda: runtime.status))
    return desk


def _brokers(
    topology: Topology, secrets: Secrets
) -> tuple[tuple[BrokerLogin, ...], BrokerKeeper | None]:
    embedded = topology.embedded_broker
    if embedded is None:
        return secrets.brokers, None
    directory = embedded.directory or topology.store.path.parent / "broker"
    agents = [agent.id for agent in topology.agents]
    broker, password = make_broker(topology.cluster.uid, embedded.listen, directory, agents)
    return (embedded_login(embedded.listen, password),), BrokerKeeper(broker)


@contextlib.asynccontextmanager
async def _listening(app: web.Application, listen: str) -> AsyncIterator[None]:
    """Serve HTTP for as long as the context lasts. Raises CannotListen."""
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port), reuse_address=True).start()
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {listen}: {error.strerror}; free the port, or choose another in "
                "controller.listen"
            ) from None
        log.info("listening", address=listen)
        yield
    finally:
        await runner.cleanup()


async def _bounded(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(TimeoutError, StoreFailed):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await end()


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _loop_runner() -> Callable[[Coroutine[Any, Any, int]], int]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="saling-controller", description="The controller of a Saling cluster."
    )
    parser.add_argument("--config", type=Path, required=True, help="the topology, a YAML file")
    parser.add_argument(
        "--check", action="store_true", help="only say whether the configuration can be used"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
