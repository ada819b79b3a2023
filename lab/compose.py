"""The keys and files of `docker/compose.yaml`: `python -m lab.compose --directory DIR`.

Makes one directory for each container, DIR/NAME, with its own keys and configuration and
nobody else's: `controller`, `mosquitto`, `prometheus` and one for each agent. Inside the
containers each is /etc/saling. Where they stand already nothing is changed, so that it can run
before every start. As root it gives each to the user of its container.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from controller.broker import Account, agent_account
from lab.base.geography import ARBITER, PAIRS, SITES
from lab.base.keys import LabKeys, make_keys
from lab.base.plan import FOUR_SERVICES, LOCATIONS, agent_of

CLUSTER = "compose"
BROKER = "mosquitto"
BROKER_PORT = 8883
CONTROLLER = "controller"
CONTROLLER_PORT = 8700
AGENT_PORT = 8701
FIRST_ENGINE_PORT = 5432
PROMETHEUS = "prometheus"
INSIDE = Path("/etc/saling")
DATA = Path("/var/lib/saling")
RUN = Path("/run/saling")
BINARIES = "/usr/lib/postgresql/15/bin"
VALID_DAYS = 397
OWNERS = {BROKER: 1883, PROMETHEUS: 65534}
"""The users of images that are not ours; ours run as SALING_USER."""
SALING_USER = 10001
PBKDF2_ROUNDS = 10_000
AGENTS = tuple(agent_of(site) for site in SITES)
FILES = {
    "authority": "ca.crt",
    "certificate": "tls.crt",
    "certificate_key": "tls.key",
    "signing_key": "signing.key",
    "password_file": "mqtt.password",
}
"""What of a party's keys is called how in its container."""


def make(directory: Path) -> bool:
    """Make everything; returns whether anything was to be made. Raises OSError."""
    parts = (CONTROLLER, BROKER, PROMETHEUS, *AGENTS)
    if all((directory / part / "made").exists() for part in parts):
        return False
    with tempfile.TemporaryDirectory(prefix="saling-") as temporary:
        keys = make_keys(Path(temporary) / "keys", (*AGENTS, BROKER), {}, valid_days=VALID_DAYS)
        for part in parts:
            _empty(directory / part)
        _controller(keys, directory / CONTROLLER)
        _broker(keys, directory / BROKER)
        _copy(keys.authority, directory / PROMETHEUS / FILES["authority"], 0o644)
        for site in SITES:
            _agent(keys, site, directory / agent_of(site))
    for part in parts:
        _write(directory / part / "made", "by lab.compose\n")
        _give(directory / part, OWNERS.get(part, SALING_USER))
    return True


def topology(keys: LabKeys) -> dict[str, Any]:
    """The controller's file."""
    return {
        "version": 1,
        "cluster": {"name": "Compose", "uid": CLUSTER},
        "controller": {
            "failure_domain": ARBITER,
            "listen": f"0.0.0.0:{CONTROLLER_PORT}",
            "signing_key": str(INSIDE / FILES["signing_key"]),
            "public_key": keys.controller.public_key,
            "api_token_file": str(INSIDE / "api.token"),
        },
        "store": {"kind": "sqlite", "path": str(DATA / "controller.db")},
        "journal": {"directory": str(DATA / "journal")},
        "brokers": [_login(CONTROLLER)],
        "sites": [
            {
                "id": site,
                "name": site.replace("-", " ").title(),
                "state": "active",
                "location": dict(zip(("latitude", "longitude"), LOCATIONS[site], strict=True)),
            }
            for site in SITES
        ],
        "pairs": [{"sites": list(pair)} for pair in PAIRS],
        "agents": [
            {
                "id": agent_of(site),
                "site": site,
                "address": f"{agent_of(site)}:{AGENT_PORT}",
                "public_key": keys.agents[agent_of(site)].public_key,
            }
            for site in SITES
        ],
        "services": [
            {
                "name": service.name,
                "engine": "postgresql",
                "tier": service.tier,
                "protection": service.protection,
                "loss_bound": service.loss_bound,
                "lease_profile": "standard",
                "databases": ["postgres"],
                "replicas": [
                    {"site": s, "priority": n, "address": f"{agent_of(s)}:{_port(service.name, s)}"}
                    for n, s in enumerate(service.sites, start=1)
                ],
            }
            for service in FOUR_SERVICES
        ],
    }


def agent_file(keys: LabKeys, site: str) -> dict[str, Any]:
    """One agent's file."""
    return {
        "version": 1,
        "cluster": CLUSTER,
        "agent": agent_of(site),
        "site": site,
        "listen": f"0.0.0.0:{AGENT_PORT}",
        "state_directory": str(DATA / "agent"),
        "brokers": [_login(agent_of(site))],
        "tls": {
            "certificate": str(INSIDE / FILES["certificate"]),
            "key": str(INSIDE / FILES["certificate_key"]),
            "authority": str(INSIDE / FILES["authority"]),
        },
        "signing_key": str(INSIDE / FILES["signing_key"]),
        "controller_public_key": keys.controller.public_key,
        "services": [
            {
                "name": service.name,
                "engine": "postgresql",
                "data_directory": str(DATA / service.name / "data"),
                "listen": f"0.0.0.0:{_port(service.name, site)}",
                "socket_directory": str(RUN / service.name),
                "binaries": BINARIES,
                "replication_password_file": str(INSIDE / "replication.password"),
            }
            for service in FOUR_SERVICES
            if site in service.sites
        ],
    }


def password_line(username: str, password: str) -> str:
    """One line of mosquitto's password file: PBKDF2 with SHA-512, its kind 7."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    parts = (base64.b64encode(part).decode() for part in (salt, key))
    return f"{username}:$7${PBKDF2_ROUNDS}${'$'.join(parts)}"


def rights(accounts: Sequence[Account]) -> str:
    """mosquitto's acl_file: each may do what docs/installing.md says, and nothing else."""
    lines = []
    for account in accounts:
        lines.append(f"user {account.username}")
        lines += [f"topic write {topic}" for topic in account.publish]
        lines += [f"topic read {topic}" for topic in account.subscribe]
    return "\n".join(lines) + "\n"


def _controller(keys: LabKeys, directory: Path) -> None:
    for key in ("signing_key", "password_file"):
        _copy(getattr(keys.controller, key), directory / FILES[key], 0o600)
    _copy(keys.authority, directory / FILES["authority"], 0o644)
    _write(directory / "api.token", secrets.token_urlsafe(32))
    _write(directory / "topology.yaml", yaml.safe_dump(topology(keys), sort_keys=False))


def _agent(keys: LabKeys, site: str, directory: Path) -> None:
    party = keys.agents[agent_of(site)]
    for key in ("certificate_key", "signing_key", "password_file"):
        _copy(getattr(party, key), directory / FILES[key], 0o600)
    _copy(party.certificate, directory / FILES["certificate"], 0o644)
    _copy(keys.authority, directory / FILES["authority"], 0o644)
    _copy(keys.database_password_file, directory / "replication.password", 0o600)
    _write(directory / "agent.yaml", yaml.safe_dump(agent_file(keys, site), sort_keys=False))


def _broker(keys: LabKeys, directory: Path) -> None:
    party = keys.agents[BROKER]
    _copy(party.certificate, directory / FILES["certificate"], 0o644)
    _copy(party.certificate_key, directory / FILES["certificate_key"], 0o600)
    accounts = [
        agent_account(CLUSTER, name, keys.agents[name].password_file.read_text()) for name in AGENTS
    ]
    every = f"saling/{CLUSTER}/+"
    accounts.append(
        Account(
            username=CONTROLLER,
            password=keys.controller.password_file.read_text(),
            publish=(f"{every}/order", f"{every}/grant"),
            subscribe=(f"{every}/report", f"{every}/renew"),
        )
    )
    lines = [password_line(account.username, account.password) for account in accounts]
    _write(directory / "users", "\n".join(lines) + "\n")
    _write(directory / "rights", rights(accounts))


def _login(username: str) -> dict[str, Any]:
    return {
        "url": f"mqtts://{BROKER}:{BROKER_PORT}",
        "username": username,
        "password_file": str(INSIDE / FILES["password_file"]),
        "ca_file": str(INSIDE / FILES["authority"]),
    }


def _port(service: str, site: str) -> int:
    """The engines of one site listen on ports that follow each other."""
    names = [one.name for one in FOUR_SERVICES if site in one.sites]
    return FIRST_ENGINE_PORT + names.index(service)


def _empty(directory: Path) -> None:
    """The directory itself is kept: it may be where a volume is mounted."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in directory.iterdir():
        entry.unlink()


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _give(directory: Path, owner: int) -> None:
    if os.geteuid() != 0:
        return
    for path in (*directory.iterdir(), directory):
        os.chown(path, owner, owner)


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.compose", description="Keys for docker compose.")
    parser.add_argument("--directory", type=Path, required=True, help="one directory a container")
    directory = parser.parse_args().directory
    made = make(directory)
    print(f"{directory}: {'keys and files were made' if made else 'they stand already'}")


if __name__ == "__main__":
    main()
