"""Two copies that do not hold the same rows are told apart, while clients write on."""

from __future__ import annotations

from collections import Counter

import pytest

from lab.incidents.same_rows import Rows, told_of


def rows(**tables: str) -> Rows:
    """Tables whose rows are letters."""
    return {table: Counter(letters) for table, letters in tables.items()}


@pytest.mark.parametrize("copied", ["ab", "abc", "abcd"])
def test_a_copy_between_what_the_primary_had_and_has_is_the_same(copied: str) -> None:
    assert told_of(rows(t="ab"), rows(t=copied), rows(t="abcd"), "batam") == ""


def test_a_row_that_is_missing_and_one_that_is_foreign_are_counted_by_table() -> None:
    said = told_of(rows(t="ab", u="a"), rows(t="axy", u="a"), rows(t="abc", u="ab"), "batam")
    assert said == ("the copy at batam differs: t: 1 rows are missing, 2 are not the primary's")


def test_a_row_that_is_there_twice_is_not_the_same() -> None:
    assert "1 are not the primary's" in told_of(rows(t="a"), rows(t="aa"), rows(t="a"), "batam")


def test_a_table_that_only_one_copy_has_is_a_difference() -> None:
    assert "u: 1 rows are missing" in told_of(rows(u="a"), rows(), rows(u="a"), "batam")
    assert "u: 0 rows are missing, 1 are not" in told_of(rows(), rows(u="a"), rows(), "batam")
