"""From a configuration to an agent: reads keys and state, finds the engines' programs.

Errors: StartError with the mend; nothing was started when it is raised.
"""

from __future__ import annotations

import re
import shutil
import ssl
from pathlib import Path

from agents.durable import DurableError, DurableFile, begin_life, prepare_directory
from agents.engines.base import EngineError
from agents.engines.pg_settings import PostgresConfig, UpstreamTls
from agents.engines.postgresql import PostgreSQL
from agents.guard.client import GuardError
from agents.host.symptom_watch import Certificate
from agents.metrics import Metrics
from agents.network.peer_client import client_context
from agents.network.peers import server_context
from agents.network.voice import Voice, boot_id
from agents.runtime import Local, Parts
from agents.veto.file import read_veto
from config.agent import AgentConfig, LocalService
from protocol.sealing import Signer

DEBIAN_BINARIES = Path("/usr/lib/postgresql")
MAJORS = range(18, 14, -1)
RATE_LEAST_KIB_S, RATE_MOST_KIB_S = 32, 1024 * 1024
SLOT_BOUND = "max_slot_wal_keep_size"


class StartError(Exception):
    """The agent cannot start; the text names what is wrong and the mend."""


def assemble(config: AgentConfig) -> Parts:
    """Everything that an agent is made of, for one more life of it. Raises StartError."""
    try:
        prepare_directory(config.state_directory)
        names = tuple(service.name for service in config.services)
        life = begin_life(config.state_directory, config.cluster, config.agent, names)
        signer = Signer.from_file(config.signing_key)
        voice = Voice(config.cluster, config.agent, life, boot_id(), signer)
        return Parts(
            config=config,
            voice=voice,
            life=life,
            locals={service.name: _local(config, service) for service in config.services},
            metrics=Metrics(config.agent, config.site),
            server_tls=server_context(config.tls),
            client_tls=client_context(config.tls),
            certificate=Certificate(config.tls.certificate),
            veto=read_veto(config.state_directory),
        )
    except (DurableError, EngineError, GuardError, ssl.SSLError, ValueError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise StartError(f"{where}{error.strerror or error}") from None


def _local(config: AgentConfig, service: LocalService) -> Local:
    engine = engine_of(service)
    file = DurableFile(config.state_directory, config.cluster, config.agent, service.name)
    uid = service.uid or service.name
    return Local(engine, engine.guard, file, file.load(), service.replication_user, uid)


def engine_of(service: LocalService) -> PostgreSQL:
    """The engine of one service. Raises EngineError, GuardError."""
    return PostgreSQL(postgres_config(service))


def postgres_config(service: LocalService) -> PostgresConfig:
    """What the engine needs to know of one service. Raises EngineError."""
    settings = dict(service.settings)
    rate = service.seed_rate_bytes_s // 1024
    return PostgresConfig(
        service=service.name,
        data=service.data_directory.absolute(),
        run=service.socket_directory.absolute(),
        binaries=(service.binaries or find_binaries()).absolute(),
        listen=service.listen,
        password_file=service.replication_password_file.absolute(),
        max_slot_wal_keep_size=settings.pop(SLOT_BOUND, "4GB"),
        seed_rate_kib_s=min(max(rate, RATE_LEAST_KIB_S), RATE_MOST_KIB_S),
        quarantine=service.quarantine,
        quarantine_directory=_absolute(service.quarantine_directory),
        settings=settings,
        dba_config=service.config_directory and service.config_directory / "postgresql.conf",
        client_sockets=service.client_socket_directories or (),
        rewind_password_file=_absolute(service.rewind_password_file),
        tls=_upstream_tls(service),
    )


def _upstream_tls(service: LocalService) -> UpstreamTls | None:
    tls = service.upstream_tls
    if tls is None:
        return None
    return UpstreamTls(tls.authority.absolute(), _absolute(tls.certificate), _absolute(tls.key))


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def find_binaries() -> Path:
    """The directory of the newest PostgreSQL from 15 to 18 on this host. Raises EngineError."""
    places = [DEBIAN_BINARIES / str(major) / "bin" for major in MAJORS]
    places += [Path(f"/usr/pgsql-{major}/bin") for major in MAJORS]
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    for place in places:
        if (place / "postgres").is_file():
            return place
    raise EngineError(
        "no PostgreSQL was found on this host: install PostgreSQL 15 to 18, or name its directory "
        "as `binaries` of the service"
    )


def major_of(said: str) -> int:
    """The major version in the answer of `postgres --version`; 0 when there is none."""
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0
