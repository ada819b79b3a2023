"""The keys and certificates that a configuration names: there, and secret enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.validate import Report, validate

Spoil = Callable[..., dict[str, Any]]

AGENT_FILES = ["a.pem", "a.key", "ca.pem", "signing.key", "replication.password"]
SECRET = ["a.key", "signing.key", "replication.password"]


@pytest.fixture
def judged(tmp_path: Path, agent: Spoil) -> Callable[[], Report]:
    """An agent's file with all its files in place, each readable by its owner alone."""
    for name in AGENT_FILES:
        (tmp_path / name).write_text("x", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    file = tmp_path / "agent.yaml"
    file.write_text(yaml.safe_dump(agent()), encoding="utf-8")
    return lambda: validate(file, files=True)


def test_files_in_place_are_fine(judged: Callable[[], Report]) -> None:
    """Nothing to say."""
    assert judged().problems == ()


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o777])
def test_secrets_open_to_everybody_are_refused(
    tmp_path: Path, judged: Callable[[], Report], name: str, mode: int
) -> None:
    """With the command that mends it."""
    (tmp_path / name).chmod(mode)
    report = judged()
    assert report.exit_code == 2
    for problem in report.problems:
        assert f"mode 0{mode:o}" in problem.message
        assert problem.mend == f"chmod 600 {tmp_path / name}"


def test_certificates_may_be_read_by_everybody(
    tmp_path: Path, judged: Callable[[], Report]
) -> None:
    """They are public."""
    (tmp_path / "a.pem").chmod(0o644)
    assert judged().problems == ()


@pytest.mark.parametrize("name", AGENT_FILES)
def test_absent_empty_and_odd_files_are_named(
    tmp_path: Path, judged: Callable[[], Report], name: str
) -> None:
    """Each with its own reason."""
    file = tmp_path / name
    file.write_text("", encoding="utf-8")
    assert "empty" in judged().text()
    file.unlink()
    assert "no such file" in judged().text()
    file.mkdir()
    assert "no regular file" in judged().text()


def test_keys_of_the_controller_are_looked_at_too(tmp_path: Path, topology: Spoil) -> None:
    """Its signing key and its brokers' passwords."""
    broker = {"url": "mqtts://b:8883", "username": "u", "password_file": "p"}
    file = tmp_path / "topology.yaml"
    operators = [{"name": "siti", "token_file": "t"}]
    changes = {"brokers": [broker], "controller.operators": operators}
    file.write_text(yaml.safe_dump(topology(changes)), encoding="utf-8")
    paths = [problem.path for problem in validate(file, files=True).errors]
    assert paths == [
        "controller.signing_key", "controller.operators[0].token_file", "brokers[0].password_file"
    ]  # fmt: skip
    assert validate(file).errors == ()


def test_one_token_in_two_files_is_an_error_and_not_shown(tmp_path: Path, topology: Spoil) -> None:
    """The controller would not start with them."""
    file = tmp_path / "topology.yaml"
    for name, content in (("c.key", "x"), ("siti", "hunter2"), ("budi", "hunter2\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    operators = [{"name": name, "token_file": name} for name in ("siti", "budi")]
    file.write_text(yaml.safe_dump(topology({"controller.operators": operators})))
    assert validate(file).errors == ()
    (problem,) = validate(file, files=True).errors
    assert problem.path == "controller.operators[1].token_file"
    assert "siti and budi have the same token" in problem.message
    assert "hunter2" not in problem.render()
