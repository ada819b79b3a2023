"""Speaks to the controller's HTTP API: one connection a question, each with a timeout.

Neither proxies nor redirects are followed, so that the token goes to the controller alone.
A broken connection is tried again; a POST keeps its idempotency key then, so that it is
done once however often it arrives.
"""

from __future__ import annotations

import contextlib
import getpass
import http.client
import re
import ssl
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_fixed,
)

from controller.cli.exits import CommandFailed, Conflict, Exit, Refused, Unreachable
from controller.cli.figures import counted
from controller.cli.plain import plain

DEFAULT_URL = "http://127.0.0.1:8700"
API = "/api/v1"
TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 12.0
"""The controller itself gives up waiting after 8 s."""

ATTEMPTS = 3
RETRY_S = 0.3
GATEWAY_TIMEOUT = 504
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ANSWER_BYTES_AT_MOST = 64 * 1024 * 1024
READABLE_BY_OTHERS = 0o004
PLAIN_HTTP = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""How OpenSSL names the answer of a server that speaks HTTP without TLS."""


class Place(NamedTuple):
    """Where the controller listens."""

    url: str
    scheme: str
    host: str
    port: int
    path: str


class Raw(NamedTuple):
    """One answer, whatever its status."""

    status: int
    body: bytes


class BrokenConnection(Exception):
    """No whole answer came; the text says why."""


class NoAnswer(BrokenConnection):
    """The controller took the question, and did not answer in time."""


class StillUnderWay(BrokenConnection):
    """The controller has the request, and has not ended it yet."""


def parse_place(url: str) -> Place:
    """Read a controller's URL. Raises CommandFailed."""
    fault = f"--controller {url!r}: is no URL of a controller; write it like {DEFAULT_URL}"
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise CommandFailed(fault, Exit.USAGE) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise CommandFailed(fault, Exit.USAGE)
    return Place(url, parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def read_token(file: Path | None) -> str:
    """The token in a file, empty without one. Raises CommandFailed."""
    if file is None:
        return ""
    try:
        if file.is_dir():
            text = f"{file}: this is a directory; name the file in it that holds the token"
            raise CommandFailed(text, Exit.USAGE)
        if file.stat().st_mode & READABLE_BY_OTHERS:
            raise CommandFailed(
                f"{file}: everybody can read this token; run: chmod 600 {file}", Exit.USAGE
            )
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"{file}: the token cannot be read ({error}); give a readable file with "
            "--token-file or SALING_TOKEN_FILE",
            Exit.USAGE,
        ) from None
    if not token or not token.isprintable() or " " in token:
        raise CommandFailed(f"{file}: holds no token; it must be one word on one line", Exit.USAGE)
    return token


def session_user() -> str:
    """The user of this session. Raises CommandFailed."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise CommandFailed(
            "this session's user has no name: say who asks with --by NAME", Exit.USAGE
        ) from None


class Client:
    """Questions and requests to one controller. All calls raise CommandFailed."""

    def __init__(self, url: str, token_file: Path | None = None, attempts: int = ATTEMPTS) -> None:
        self.place = parse_place(url)
        self._token = read_token(token_file)
        self._attempts = attempts
        self._name = ""

    def state(self) -> Any:
        """Everything at once."""
        return self._get("/state")

    def explain(self, service: str) -> Any:
        """One service."""
        return self._get(f"/services/{_segment(service)}/explain")

    def history(self, service: str | None, limit: int) -> Any:
        """What was changed, newest first."""
        only = {} if service is None else {"service": _name(service)}
        return self._get("/history?" + urlencode({**only, "limit": limit}))

    def what_if(self, query: list[tuple[str, str]]) -> Any:
        """What would be decided if that were lost now."""
        path = "/what-if?" + urlencode(query)
        # A controller that is slow with one forecast is not given a second one to make.
        return self._persist(
            lambda: self._exchange("GET", path, None, {}, REQUEST_TIMEOUT_S), patient=False
        )

    def capacity(self) -> Any:
        """Whether each site could carry the loss of another."""
        return self._get("/capacity")

    def timeline(self, query: list[tuple[str, str]]) -> Any:
        """What happened, of one choice."""
        return self._get("/timeline?" + urlencode(query))

    def hazards(self) -> Any:
        """Feeds and cautions."""
        return self._get("/hazards")

    def plan(self, plan_id: str | None) -> Any:
        """One plan with its changes; the one under way where none is named."""
        return self._get("/plan" if plan_id is None else f"/plans/{quote(plan_id, safe='')}")

    def plans(self, limit: int) -> Any:
        """The newest plans."""
        return self._get("/plans?" + urlencode({"limit": limit}))

    def drills(self) -> Any:
        """How drills stand, and the newest ones."""
        return self._get("/drills")

    def drill(self, name: str) -> Any:
        """The report of one, or of the `last`."""
        return self._get(f"/drills/{quote(name, safe='')}")

    def ask_site(self, site: str, kind: str, body: Mapping[str, Any]) -> Any:
        """Ask for a change at one site."""
        return self.ask(f"sites/{_segment(site, 'SITE')}/{kind}", None, body)

    def ask(self, kind: str, service: str | None, body: Mapping[str, Any]) -> Any:
        """Ask for a change, of all services when none is named. It is done once."""
        path = f"/{kind}" if service is None else f"/services/{_segment(service)}/{kind}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        raw = msgspec.json.encode({**body, "by": body.get("by") or self._asker()})
        return self._persist(lambda: self._post(path, raw, headers))

    def _asker(self) -> str:
        """Who asks where nobody was named: whom the token names, else this session's user."""
        if self._token and not self._name:
            with contextlib.suppress(CommandFailed):
                self._name = str(self._get("/me").get("name", ""))
        self._name = self._name or session_user()
        return self._name

    def _get(self, path: str) -> Any:
        return self._persist(lambda: self._exchange("GET", path, None, {}, TIMEOUT_S))

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Raw:
        raw = self._exchange("POST", path, body, headers, REQUEST_TIMEOUT_S)
        if raw.status == GATEWAY_TIMEOUT:
            raise StillUnderWay("the controller has the request and has not ended it yet")
        return raw

    def _persist(self, exchange: Callable[[], Raw], patient: bool = True) -> Any:
        """Try again where the connection broke, also where no answer came in time if patient."""
        hopeless = () if patient else (NoAnswer,)
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_fixed(RETRY_S),
            retry=retry_if_exception_type(BrokenConnection) & retry_if_not_exception_type(hopeless),
            reraise=True,
        )
        try:
            return self._judge(retrying(exchange))
        except StillUnderWay as error:
            raise CommandFailed(f"{self.place.url}: {error}; see `saling history`") from None
        except BrokenConnection as error:
            attempts = retrying.statistics.get("attempt_number", 1)
            raise Unreachable(self._unreachable(str(error), attempts)) from None

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout_s: float
    ) -> Raw:
        connection = self._connection(timeout_s)
        headers = {"Accept": "application/json", **headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self.place.path + API + path, body, headers)
            answer = connection.getresponse()
            return Raw(answer.status, answer.read(ANSWER_BYTES_AT_MOST))
        except ssl.SSLCertVerificationError as error:
            raise CommandFailed(self._untrusted(error.verify_message)) from None
        except ssl.SSLError as error:
            if error.reason in PLAIN_HTTP:
                raise CommandFailed(self._speaks_http(), Exit.USAGE) from None
            raise BrokenConnection(_reason(error, timeout_s)) from None
        except TimeoutError as error:
            raise NoAnswer(_reason(error, timeout_s)) from None
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise BrokenConnection(_reason(error, timeout_s)) from None
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.place.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self.place.host, self.place.port, timeout=timeout_s, context=context
            )
        return http.client.HTTPConnection(self.place.host, self.place.port, timeout=timeout_s)

    def _judge(self, raw: Raw) -> Any:
        body = self._decode(raw)
        if raw.status == http.client.OK:
            return body
        told = plain(body) if isinstance(body, dict) else {}
        text = str(told.get("error") or f"HTTP status {raw.status}")
        if where := _where(str(told.get("where", ""))):
            text += f" ({where})"
        if told.get("mend"):
            text += f"\n  mend: {told['mend']}"
        match raw.status:
            case 401:
                raise CommandFailed(self._unknown_token(str(told.get("error", ""))))
            case 404 | 422:
                raise CommandFailed(text, Exit.USAGE, body)
            case 409:
                raise Conflict(text, body)
            case 412:
                raise Refused(*_refusal(told), body)
        raise CommandFailed(f"{self.place.url}: {text}", body=body)

    def _decode(self, raw: Raw) -> Any:
        try:
            return msgspec.json.decode(raw.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CommandFailed(self._no_answer_of_a_controller(raw.status)) from None

    def _speaks_http(self) -> str:
        place = self.place
        host = f"[{place.host}]" if ":" in place.host else place.host
        return (
            f"--controller {place.url}: what listens there speaks plain HTTP, as the controller "
            f"does without a proxy before it; give --controller http://{host}:{place.port}"
        )

    def _unknown_token(self, error: str) -> str:
        why = "the one that was sent is none that it knows" if self._token else "none was sent"
        return (
            f"{self.place.url}: {error}: {why}\n"
            "  mend: name the file that holds yours, or the one of `api_token_file`, with "
            "--token-file or SALING_TOKEN_FILE"
        )

    def _untrusted(self, why: str) -> str:
        return (
            f"--controller {self.place.url}: its certificate is not trusted: {why}; nothing was "
            "sent\n"
            "  mend: name the file of the authority that signed it with SSL_CERT_FILE, or have "
            "whoever runs the proxy before the controller renew it; is it the right host?"
        )

    def _no_answer_of_a_controller(self, status: int) -> str:
        told = f"{self.place.url} answered with status {status} and no JSON"
        if status >= http.client.INTERNAL_SERVER_ERROR:
            return (
                f"{told}: the controller failed at it, or a proxy before it has none to hand it "
                "to; whether anything was done is not known\n"
                "  mend: see `saling history` and the controller's log, then ask again"
            )
        return f"{told}: it is no controller of Saling; check --controller or SALING_CONTROLLER"

    def _unreachable(self, reason: str, attempts: int) -> str:
        return (
            f"the controller at {self.place.url} is not reachable: {reason} "
            f"({counted(attempts, 'attempt')})\n"
            "  Services go on without it, for the partner sites grant leases too; but while it is "
            "away nobody decides on a failover.\n"
            "  Look at: does saling-controller run on that host, and does `listen` under "
            "`controller` in its file fit;\n"
            f"  is a firewall between; is {self.place.host} the right host: give --controller URL "
            "or set SALING_CONTROLLER."
        )


def _where(where: str) -> str:
    """What a person can do something with: neither the path nor the query was written by one."""
    return "" if where in ("path", "plan") or where.startswith(("query", "header")) else where


def _refusal(body: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Why, and what is unmet: of one service, or of all that refused."""
    services = body.get("services")
    if not isinstance(services, dict):
        return str(body.get("refused", "")), tuple(map(str, body.get("unmet", ())))
    unmet = []
    for name in body.get("refused", ()):
        one = services.get(name, {})
        why = one.get("refused") or one.get("error") or "no reason given"
        unmet.append(f"{name}: {'; '.join([why, *map(str, one.get('unmet', ()))])}")
    return str(body.get("text", "")), tuple(unmet)


def _segment(name: str, what: str = "SERVICE") -> str:
    return quote(_name(name, what), safe="")


def _name(name: str, what: str = "SERVICE") -> str:
    if NAME.fullmatch(name) is None:
        raise CommandFailed(
            f"{what} {name[:80]!a}: is no name of a {what.lower()}; names are small letters, "
            "digits and dashes, 63 at most; `saling status` lists them",
            Exit.USAGE,
        )
    return name


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, UnicodeError):
        return "this is no name of a host"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return "what answered there broke off, or does not speak HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
