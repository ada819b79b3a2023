"""Strict YAML: what is refused, with its line, and what is read as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.problems import ConfigError, Problem
from config.reader import Document, read


def stopped(tmp_path: Path, content: str | bytes) -> Problem:
    """The one finding that ended the reading."""
    file = tmp_path / "bad.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert len(caught.value.problems) == 1
    assert str(file) in caught.value.problems[0].render()
    return caught.value.problems[0]


def document(tmp_path: Path, content: str) -> Document:
    """The document of a text that can be read to its end."""
    file = tmp_path / "odd.yaml"
    file.write_text(content, encoding="utf-8")
    return read(file)


def test_plain_values_are_read_as_they_stand(tmp_path: Path) -> None:
    """Text, numbers, true, false, blank, lists, and anchors within bounds."""
    got = document(
        tmp_path,
        "a: 1\nb: -2.5\nc: true\nd:\ne: [x, '12:30', \"no\"]\nf: &f {g: 1e3}\nh: *f\n"
        "i: 10.1.0.5:8700\nj: 2s\n",
    )
    assert got.problems == []
    assert got.data == {
        "a": 1,
        "b": -2.5,
        "c": True,
        "d": None,
        "e": ["x", "12:30", "no"],
        "f": {"g": "1e3"},
        "h": {"g": "1e3"},
        "i": "10.1.0.5:8700",
        "j": "2s",
    }


@pytest.mark.parametrize(
    ("word", "reading"),
    [
        ("no", "false"),
        ("Yes", "true"),
        ("off", "false"),
        ("on", "true"),
        ("12:30", "750"),
        ("010", "8"),
        ("0x10", "16"),
        ("1_000", "1000"),
        (".inf", "inf"),
        (".nan", "nan"),
        ("2026-11-24", "a date"),
        ("0b_", "a number"),
        ("9" * 60, "a huge number"),
    ],
)
def test_words_that_yaml_would_turn_into_something_else_are_refused(
    tmp_path: Path, word: str, reading: str
) -> None:
    """The message says what YAML makes of it, the mend says to quote it."""
    got = document(tmp_path, f"a:\n  - b: {word}\n")
    (problem,) = got.problems
    assert problem.path == "a[0].b"
    assert problem.line == 2
    assert reading in problem.message
    assert problem.mend == f'quote it: "{word}"'


@pytest.mark.parametrize("key", ["no", "12", "12:30", "~", "2026-11-24"])
def test_keys_that_are_no_text_are_refused(tmp_path: Path, key: str) -> None:
    """A key is text."""
    (problem,) = document(tmp_path, f"{key}: 1\n").problems
    assert "as text" in problem.message


def test_duplicate_keys_are_refused_with_both_lines(tmp_path: Path) -> None:
    """YAML itself would silently take the last."""
    (problem,) = document(tmp_path, "a:\n  b: 1\n  c: 2\n  b: {x: 3}\n").problems
    assert (problem.path, problem.line) == ("a.b", 4)
    assert "first in line 2" in problem.message


def test_merge_keys_and_tags_are_refused(tmp_path: Path) -> None:
    """Only plain values."""
    got = document(tmp_path, "a: &a {b: 1}\nc:\n  <<: *a\nd: !!python/name:os.system\n")
    assert {problem.path for problem in got.problems} == {"c.<<", "d"}


def test_tabs_in_an_indentation_are_named_as_such(tmp_path: Path) -> None:
    """With the line."""
    problem = stopped(tmp_path, "a:\n  b: 1\n\tc: 2\n")
    assert problem.line == 3
    assert "tab" in problem.message


@pytest.mark.parametrize("text", ["a: [1, 2", "a: 'x", "a: 1\n b: 2", "a: b: c", "@x", "a: %"])
def test_syntax_errors_come_with_their_line(tmp_path: Path, text: str) -> None:
    """And without the text, which may hold a secret."""
    assert stopped(tmp_path, "z: 1\n" + text).line >= 1


def test_anchor_bombs_are_refused_at_once(tmp_path: Path) -> None:
    """Nine levels of nine aliases would be a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "alias" in stopped(tmp_path, "\n".join(lines)).message


def test_many_aliases_of_a_small_thing_are_refused(tmp_path: Path) -> None:
    """The number of aliases is bounded too."""
    text = "a: &a x\nb: [" + ", ".join(["*a"] * 101) + "]\n"
    assert "more than 100 aliases" in stopped(tmp_path, text).message


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: *b"])
def test_aliases_without_a_complete_anchor_are_refused(tmp_path: Path, text: str) -> None:
    """A thing cannot hold itself."""
    assert "alias" in stopped(tmp_path, text).message


@pytest.mark.parametrize("text", ["a: " + "[" * 10_000, "a: " + "{a: " * 10_000])
def test_ten_thousand_levels_are_refused(tmp_path: Path, text: str) -> None:
    """No recursion without a bound."""
    assert "levels" in stopped(tmp_path, text).message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"---\n...\n", "empty"),
        (b"- a\n- b\n", "no mapping"),
        (b"just text\n", "no mapping"),
        (b"a: 1\n---\nb: 2\n", "second document"),
        (b"a: \xff\xfe\n", "not UTF-8"),
        (b"a: \x00\n", "not YAML"),
        (b"a: " + b"x" * 2**20, "larger than 1 MiB"),
        (b"[a]: 1\n", "no text"),
    ],
)
def test_files_that_cannot_be_a_configuration_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Each with its own reason."""
    assert message in stopped(tmp_path, content).message


def test_absent_files_and_directories_are_named_as_such(tmp_path: Path) -> None:
    """With the path."""
    for path, message in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "directory")):
        with pytest.raises(ConfigError, match=message):
            read(path)


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!|>'\"#\n \t0~<%@", max_size=60))
def test_any_content_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    """No content makes the reader fail in another way."""
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        assert isinstance(read(file).data, dict)
    except ConfigError as error:
        assert error.problems
