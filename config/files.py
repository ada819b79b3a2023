"""Whether the files that a configuration names are there, and secret enough.

It asks the disk of this very host, so it is no part of loading: a topology is valid on a
desk where its keys are not.
"""

from __future__ import annotations

import stat
from pathlib import Path

from config.agent import AgentConfig, LocalService
from config.brokers import Broker
from config.problems import Loc, Problem, Severity, path_text, shown
from config.topology import Topology

OTHERS = stat.S_IRWXO

Named = tuple[Loc, Path | None, bool]
"""A key's place, its file if one is given, and whether it is secret."""


def check_files(topology: Topology, base: Path, file: Path) -> tuple[Problem, ...]:
    """Everything wrong with the files that a topology names.

    Relative paths start at `base`; `file` is the topology's own, for the findings.
    """
    controller = topology.controller
    named: list[Named] = [
        (("controller", "signing_key"), controller.signing_key, True),
        (("controller", "api_token_file"), controller.api_token_file, True),
    ]
    for index, operator in enumerate(controller.operators):
        loc = ("controller", "operators", index, "token_file")
        named.append((loc, operator.token_file, True))
    if isinstance(topology.brokers, tuple):
        named += broker_files(topology.brokers)
    return (*check(named, base, file), *same_tokens(topology, base, file))


def same_tokens(topology: Topology, base: Path, file: Path) -> tuple[Problem, ...]:
    """Operators whose files hold one token; what cannot be read is no finding of this."""
    first: dict[bytes, str] = {}
    found = []
    for index, operator in enumerate(topology.controller.operators):
        try:
            token = (base / operator.token_file).read_bytes().strip()
        except OSError:
            continue
        if token and first.setdefault(token, operator.name) != operator.name:
            loc: Loc = ("controller", "operators", index, "token_file")
            message = f"{first[token]} and {operator.name} have the same token, so that nobody "
            message += "can tell them apart"
            mend = "give each a token of his own"
            value = shown((), str(operator.token_file))
            found.append(Problem(file, path_text(loc), value, message, mend, Severity.ERROR))
    return tuple(found)


def check_agent_files(config: AgentConfig, base: Path, file: Path) -> tuple[Problem, ...]:
    """Everything wrong with the files that an agent's configuration names."""
    named: list[Named] = [
        (("signing_key",), config.signing_key, True),
        (("tls", "certificate"), config.tls.certificate, False),
        (("tls", "key"), config.tls.key, True),
        (("tls", "authority"), config.tls.authority, False),
    ]
    named += broker_files(config.brokers)
    for index, service in enumerate(config.services):
        named += service_files(("services", index), service)
    return check(named, base, file)


def service_files(loc: Loc, service: LocalService) -> list[Named]:
    """The files that one engine's entry names."""
    named: list[Named] = [
        ((*loc, "replication_password_file"), service.replication_password_file, True),
        ((*loc, "rewind_password_file"), service.rewind_password_file, True),
    ]
    if tls := service.upstream_tls:
        named += [
            ((*loc, "upstream_tls", "authority"), tls.authority, False),
            ((*loc, "upstream_tls", "certificate"), tls.certificate, False),
            ((*loc, "upstream_tls", "key"), tls.key, True),
        ]
    return named


def broker_files(brokers: tuple[Broker, ...]) -> list[Named]:
    """The files that a list of brokers names."""
    named: list[Named] = []
    for index, broker in enumerate(brokers):
        loc = ("brokers", index)
        named += [
            ((*loc, "password_file"), broker.password_file, True),
            ((*loc, "ca_file"), broker.ca_file, False),
            ((*loc, "certificate"), broker.certificate, False),
            ((*loc, "key"), broker.key, True),
        ]
    return named


def check(named: list[Named], base: Path, file: Path) -> tuple[Problem, ...]:
    """The findings of all files that are given."""
    found = []
    for loc, path, is_secret in named:
        wrong = None if path is None else look(base / path, is_secret)
        if wrong is not None:
            message, mend = wrong
            value = shown((), str(path))
            found.append(Problem(file, path_text(loc), value, message, mend, Severity.ERROR))
    return tuple(found)


def look(path: Path, is_secret: bool) -> tuple[str, str] | None:
    """What is wrong with one file, and the mend; None if nothing is."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file", "create it, or correct the path"
    except OSError as error:
        reason = error.strerror or str(error)
        return f"the file cannot be looked at: {reason}", "check the directories' permissions"
    if not stat.S_ISREG(status.st_mode):
        return "this is no regular file", "name the file itself"
    if status.st_size == 0:
        return "the file is empty", "write it anew"
    if is_secret and status.st_mode & OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        return f"a secret that everybody on this host can reach (mode {mode:04o})", (
            f"chmod 600 {path}"
        )
    return None
