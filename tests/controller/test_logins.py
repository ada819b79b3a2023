"""What the controller reads of its operators' tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.topology import Operator, OperatorRole
from controller.logins import SecretsUnusable, _callers


def operator(tmp_path: Path, name: str, token: str) -> Operator:
    file = tmp_path / name
    file.write_text(token, encoding="ascii")
    file.chmod(0o600)
    return Operator.model_validate({"name": name, "token_file": str(file)})


def test_each_operator_has_a_token_of_his_own(tmp_path: Path) -> None:
    read = _callers((operator(tmp_path, "siti", "one\n"), operator(tmp_path, "budi", "two")))
    assert [(c.name, c.role, c.token) for c in read] == [
        ("siti", OperatorRole.OPERATOR, "one"),
        ("budi", OperatorRole.OPERATOR, "two"),
    ]


def test_one_token_for_two_is_refused_and_not_shown(tmp_path: Path) -> None:
    both = (operator(tmp_path, "siti", "hunter2"), operator(tmp_path, "budi", "hunter2"))
    with pytest.raises(SecretsUnusable, match="siti and budi have the same token") as error:
        _callers(both)
    assert "hunter2" not in str(error.value)


def test_a_file_without_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretsUnusable, match="holds no secret word"):
        _callers((operator(tmp_path, "siti", " \n"),))
