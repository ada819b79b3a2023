"""The verdict on a file: its kind, as text, as JSON, as an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.problems import path_text, shown
from config.validate import Report, validate

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]


def test_files_of_neither_kind_are_told_so(judge: Judge) -> None:
    """With what to start from."""
    report = judge("colour: blue\n")
    assert (report.kind, report.exit_code) == ("unknown", 2)
    assert "neither a topology" in report.text()


def test_absent_files_end_in_a_report(tmp_path: Path) -> None:
    """Not in a traceback."""
    report = validate(tmp_path / "none.yaml")
    assert report.exit_code == 2
    assert "no such file" in report.text()


def test_findings_read_as_one_line_and_a_mend(judge: Judge, topology: Spoil) -> None:
    """File, line, path, whose it is, value, reason; then the mend."""
    report = judge(topology({"services.0.replicas.1.site": "timor"}))
    problem = next(p for p in report.problems if p.path.endswith("site"))
    assert problem.render() == (
        f"error: {report.file}:{problem.line}: services[0].replicas[1].site (service paspor) = "
        '"timor": there is no such site\n  mend: did you mean timur?'
    )
    assert report.text().splitlines()[-1].startswith(f"{report.file}: not valid topology file, ")


def test_json_form_says_the_same(judge: Judge, topology: Spoil) -> None:
    """For a program."""
    report = judge(topology({"services.0.tier": "gold"}))
    data = json.loads(report.as_json())
    assert (data["valid"], data["kind"]) == (False, "topology")
    assert [finding["path"] for finding in data["problems"]] == ["services[0].tier"]
    assert all(finding["mend"] for finding in data["problems"])


def test_warnings_leave_the_exit_code_at_zero(judge: Judge, topology: Spoil) -> None:
    """They are shown all the same."""
    report = judge(topology({"controller.failure_domain": "timur"}))
    assert report.exit_code == 0
    assert report.text().startswith("warning: ")


def test_paths_read_as_keys_and_indexes() -> None:
    """As one would write them."""
    assert path_text(("services", 2, "replicas", 1, "site")) == "services[2].replicas[1].site"
    assert path_text(()) == ""


@given(st.text() | st.integers() | st.none() | st.lists(st.integers()))
def test_values_are_shown_short_and_on_one_line(value: Any) -> None:
    """No terminal is taken over by what stands in a file."""
    text = shown(("a",), value)
    assert text.isprintable()
    assert len(text) < 1000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["sites", "pairs", "agents", "services", "replicas", "id", "site"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_tree_of_values_ends_in_a_report(tmp_path_factory: Any, tree: Any) -> None:
    """The checks between entries survive entries of any shape."""
    file = tmp_path_factory.getbasetemp() / "tree.yaml"
    data = {"controller": tree, "sites": tree, "pairs": tree, "agents": tree, "services": tree}
    file.write_text(json.dumps(data), encoding="utf-8")
    report = validate(file)
    assert report.exit_code == 2
    assert all(problem.mend for problem in report.problems)
