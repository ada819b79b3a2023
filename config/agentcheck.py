"""What one entry of an agent's file cannot know of another, and what its host cannot do."""

from __future__ import annotations

import os
from collections.abc import Iterable

from config.agent import AgentConfig
from config.enginesettings import refusal
from config.problems import Loc, Severity, path_text
from config.reader import Document
from config.sketch import entries, text
from protocol.messages import CONTROLLER

SOCKET_PATH_AT_MOST_BYTES = 107
"""A longer path of a unix socket does not fit the kernel's structure."""

FULL_DISK_BYTES = 256 * 1024 * 1024
"""What counts as full in the centre, if the agent calls the disk low: a test holds it to
PROMOTION_NEEDS_BYTES of controller/core/moment/disks.py, which may not be imported here."""

SOCKET_NAME = "/.s.PGSQL.65535"


def check_agent(document: Document, config: AgentConfig) -> None:
    """Notes in the document every error between the entries of an agent's file."""
    if config.agent == CONTROLLER:
        document.add(
            ("agent",), CONTROLLER, "this is the controller's own name", "give the agent another"
        )
    services = list(enumerate(config.services))
    unique(document, "service name", [(("services", i, "name"), s.name) for i, s in services])
    listens: list[tuple[Loc, str]] = [(("listen",), config.listen)]
    listens += [(("services", i, "listen"), s.listen) for i, s in services]
    unique(document, "address to listen on", listens)
    directories: list[tuple[Loc, str]] = [(("state_directory",), str(config.state_directory))]
    directories += [(("services", i, "data_directory"), str(s.data_directory)) for i, s in services]
    unique(document, "directory", [(loc, os.path.normpath(path)) for loc, path in directories])
    sockets = [(("services", i, "socket_directory"), str(s.socket_directory)) for i, s in services]
    check_host(document, config)
    unique(document, "socket directory", [(loc, os.path.normpath(path)) for loc, path in sockets])
    for index, service in services:
        if os.path.normpath(service.data_directory) == "/":
            document.add(
                ("services", index, "data_directory"),
                "/",
                "this is the whole file system, and a copy made anew replaces the directory",
                "name a directory for this database alone",
            )
        place = service.quarantine_directory
        if place is not None and place.is_relative_to(service.data_directory):
            document.add(
                ("services", index, "quarantine_directory"),
                str(place),
                "it lies in the data directory, which a copy made anew replaces",
                "name a directory outside of it, best on another disk",
            )
        length = len(os.fsencode(service.socket_directory)) + len(SOCKET_NAME)
        if length > SOCKET_PATH_AT_MOST_BYTES:
            document.add(
                ("services", index, "socket_directory"),
                str(service.socket_directory),
                f"a socket's path in it would have {length} bytes, and at most "
                f"{SOCKET_PATH_AT_MOST_BYTES} can be",
                "choose a shorter directory, such as /run/saling",
            )
        tls = service.upstream_tls
        if tls and (tls.certificate is None) != (tls.key is None):
            document.add(
                ("services", index, "upstream_tls"),
                "",
                "a certificate needs its key, and a key its certificate",
                "give both `certificate` and `key`, or neither",
            )


def check_host(document: Document, config: AgentConfig) -> None:
    """The disks and devices of the host."""
    check_watchdogs(document, config)
    check_devices(document)
    check_floors(document, config)


def check_watchdogs(document: Document, config: AgentConfig) -> None:
    """A watchdog is petted by one guard: two services cannot share a device."""
    first: dict[str, str] = {}
    for index, service in enumerate(config.services):
        fences, loc = service.fences, ("services", index, "fences", "watchdog_device")
        if fences.watchdog == "off":
            continue
        device = os.path.normpath(fences.watchdog_device)
        if device in first:
            document.add(
                loc,
                device,
                f"the watchdog of service {first[device]}: one device has one guard to pet it",
                'give each service a device of its own, or all but one `watchdog: "off"`',
            )
        first.setdefault(device, service.name)


def check_floors(document: Document, config: AgentConfig) -> None:
    """The centre calls full only what its agent calls low."""
    for index, service in enumerate(config.services):
        floor_bytes = service.disk_floor_bytes
        if floor_bytes is not None and floor_bytes < FULL_DISK_BYTES:
            document.add(
                ("services", index, "disk_floor"),
                f"{floor_bytes} bytes",
                "a promotion may write 256 MiB at once: a disk is full with less, and with this "
                "floor it is not told of then, so its copy is promoted all the same",
                "give 256MiB or more, several times what is written in the time that you need",
                Severity.WARNING,
            )


def check_devices(document: Document) -> None:
    """A watchdog is a device of the host, so its path starts at the root, not at the file."""
    for index, service in entries(document.data, "services"):
        fences = service.get("fences") if isinstance(service, dict) else None
        device = text(fences, "watchdog_device")
        loc: Loc = ("services", index, "fences", "watchdog_device")
        if device is None or not isinstance(fences, dict):
            continue
        if not device.startswith("/"):
            document.add(
                loc, device, "this is no path from the root", "name it as /dev/watchdog or such"
            )
        elif fences.get("watchdog", "off") == "off":
            document.add(
                loc,
                device,
                "the watchdog is off, so this device resets nothing",
                "add `watchdog: required`, or leave watchdog_device out",
                Severity.WARNING,
            )


def check_settings(document: Document) -> None:
    """Notes every engine setting that cannot be, even where another entry is malformed."""
    said = {problem.path for problem in document.problems}
    for index, service in entries(document.data, "services"):
        settings = service.get("settings") if isinstance(service, dict) else None
        for name, value in (settings if isinstance(settings, dict) else {}).items():
            loc: Loc = ("services", index, "settings", name)
            refused = None if path_text(loc) in said else refusal(name, str(value))
            if refused:
                document.add(loc, value, *refused)


def unique(document: Document, what: str, found: Iterable[tuple[Loc, str]]) -> None:
    """Notes each value that stands there a second time."""
    first: dict[str, Loc] = {}
    for loc, value in found:
        if value in first:
            line = document.line(first[value])
            document.add(
                loc, value, f"a duplicate {what}, first in line {line}", f"give each its own {what}"
            )
        first.setdefault(value, loc)
