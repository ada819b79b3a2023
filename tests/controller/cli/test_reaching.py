"""Finding the controller: addresses, tokens, timeouts, and what is said when it is away."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from pathlib import Path

import pytest

from controller.cli import client
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, accepted, problem


def test_an_unreachable_controller_is_told_with_what_to_look_at(saling: Saling) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        run = saling("status", "--controller", url)
    assert run.code == 1
    assert run.out == ""
    assert f"the controller at {url} is not reachable: connection refused (3 attempts)" in run.err
    assert "saling-controller" in run.err and "SALING_CONTROLLER" in run.err


def test_a_host_without_a_name_is_told_like_that(saling: Saling) -> None:
    run = saling("status", "--controller", "http://nobody.invalid:8700")
    assert run.code == 1
    assert "not reachable" in run.err


def test_a_controller_that_never_answers_is_given_up(
    saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        run = saling("status", "--controller", f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert run.code == 1
    assert "no answer within 0.2 s" in run.err


def test_a_slow_forecast_is_not_asked_for_a_second_time(
    saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REQUEST_TIMEOUT_S", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        run = saling("what-if", "--kill-controller", "--controller", url)
    assert run.code == 1
    assert "no answer within 0.2 s (1 attempt)" in run.err


@pytest.mark.parametrize(
    "url",
    [
        "arbiter:8700",
        "ftp://arbiter",
        "http://",
        "http://a:99999",
        "http://u:p@arbiter",
        "http://[",
        "",
    ],
)
def test_a_url_that_is_none_is_a_usage_error(saling: Saling, url: str) -> None:
    run = saling("status", "--controller", url)
    assert run.code == 2
    assert "http://127.0.0.1:8700" in run.err


def test_another_server_is_not_taken_for_a_controller(stub: Stub, saling: Saling) -> None:
    run = saling("status", "--controller", stub.url + "/elsewhere")
    assert run.code == 1
    assert "it is no controller of Saling" in run.err


def test_the_token_goes_along_and_is_never_shown(
    stub: Stub, saling: Saling, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    stub.answers = [problem(401, "no valid token", "header Authorization")]
    run = saling("resume", "--token-file", str(file))
    assert stub.done[0].token == "Bearer s3cret"
    assert run.code == 1
    assert "no valid token: the one that was sent is none that it knows" in run.err
    assert "SALING_TOKEN_FILE" in run.err and run.err.count("mend:") == 1
    assert "no valid token: none was sent" in saling("resume", "--by", "sri").err
    assert "s3cret" not in run.out + run.err


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("s3cret", 0o644, "chmod 600"),
        ("", 0o600, "holds no token"),
        ("two words", 0o600, "holds no token"),
        ("é", 0o600, "cannot be read"),
    ],
)
def test_a_token_file_that_is_unfit_is_told_with_its_mend(
    stub: Stub, saling: Saling, tmp_path: Path, text: str, mode: int, words: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    run = saling("status", "--token-file", str(file))
    assert run.code == 2
    assert words in run.err and str(file) in run.err
    assert "s3cret" not in run.err


def test_a_token_file_that_is_missing_is_told(saling: Saling, tmp_path: Path) -> None:
    run = saling("status", "--token-file", str(tmp_path / "absent"))
    assert run.code == 2
    assert "absent" in run.err and "SALING_TOKEN_FILE" in run.err
    run = saling("status", "--token-file", str(tmp_path))
    assert run.code == 2
    assert "this is a directory" in run.err and "chmod" not in run.err


def test_a_store_that_is_down_is_told_with_the_controllers_own_words(
    stub: Stub, saling: Saling
) -> None:
    stub.answers = [problem(503, "the disk is full", "store", "make room")]
    run = saling("resume")
    assert run.code == 1
    assert "the disk is full (store)" in run.err and "mend: make room" in run.err


def test_a_request_that_is_still_under_way_is_asked_for_again_with_its_key(
    stub: Stub, saling: Saling
) -> None:
    stub.answers = [problem(504, "still under way", "controller"), accepted("", "paused")]
    assert saling("resume", "paspor").code == 0
    first, again = stub.done
    assert first.key == again.key


def test_a_proxy_of_the_environment_is_not_used(
    stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert saling("status").code == 0


def test_https_to_a_controller_that_speaks_http_says_so(stub: Stub, saling: Saling) -> None:
    run = saling("status", "--controller", stub.url.replace("http://", "https://"))
    assert run.code == 2
    assert "speaks plain HTTP" in run.err and stub.url in run.err
    assert "firewall" not in run.err


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "the controller failed at it, or a proxy before it has none to hand it to"),
        (502, "whether anything was done is not known"),
        (302, "it is no controller of Saling"),
    ],
)
def test_an_answer_that_is_no_json_is_told_by_whose_fault_it_is(
    saling: Saling, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    raw = client.Raw(status, b"<html>")
    monkeypatch.setattr(client.Client, "_exchange", lambda *_args: raw)
    run = saling("resume", "paspor", "--by", "sri")
    assert run.code == 1
    assert f"answered with status {status} and no JSON" in run.err and words in run.err
    assert "html" not in run.err


def test_a_server_that_speaks_something_else_is_told_without_its_own_words(
    saling: Saling,
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        thread = threading.Thread(target=_greet, args=(other, client.ATTEMPTS), daemon=True)
        thread.start()
        run = saling("status", "--controller", f"http://127.0.0.1:{other.getsockname()[1]}")
        thread.join(10)
    assert run.code == 1
    assert "does not speak HTTP" in run.err and "SSH" not in run.err


def _greet(other: socket.socket, times: int) -> None:
    for _ in range(times):
        caller = other.accept()[0]
        caller.recv(4096)
        caller.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        caller.close()


def test_a_certificate_that_is_not_trusted_is_told_with_its_mend(
    saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_args: object) -> None:
        error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
        error.verify_message = "certificate has expired"
        raise error

    monkeypatch.setattr(http.client.HTTPSConnection, "request", connect)
    run = saling("status", "--controller", "https://arbiter")
    assert run.code == 1
    assert "its certificate is not trusted: certificate has expired" in run.err
    assert "SSL_CERT_FILE" in run.err and "CERTIFICATE_VERIFY" not in run.err
    assert "firewall" not in run.err


def test_an_answer_of_another_shape_names_the_versions(stub: Stub, saling: Saling) -> None:
    stub.state = {"version": 7}
    run = saling("status")
    assert run.code == 1
    assert "use the same version on both sides" in run.err
