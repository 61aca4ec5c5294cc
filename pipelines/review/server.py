"""The server of `rssn review`: one page on the loopback address, for those who know its token.

GET changes nothing; POST needs the token in a header as well, which no other site can send. Nothing is logged, because
the token is part of every address.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs

from pipelines.review.log import LogError, ReviewLog
from pipelines.review.queue import PAGE, Query, ReviewSet
from pipelines.review.thumbnails import Pictures
from rssn.errors import InputError, RssnError
from rssn.storage.files import parse_json

LOOPBACK: Final = "127.0.0.1"
TOKEN_HEADER: Final = "X-Review-Token"  # noqa: S105  (the header's name)

_FILES: Final = {
    "": ("index.html", "text/html; charset=utf-8"),
    "review.js": ("review.js", "text/javascript; charset=utf-8"),
    "review.css": ("review.css", "text/css; charset=utf-8"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_BODY_BYTES: Final = 64 << 10
_IDLE_SECONDS: Final = 60.0
_WAITING: Final = 1024  # connections that were not accepted yet; the system may allow less
_SESSION: Final = re.compile(r"[\w-]{8,64}", re.ASCII)
_PICTURE: Final = re.compile(r"(thumbnail|picture)/(\d{1,9})")


@dataclass(frozen=True)
class Review:
    """What the server serves."""

    name: str  # of the set, for the page's title
    photos: ReviewSet
    pictures: Pictures
    log: ReviewLog


class ReviewServer(ThreadingHTTPServer):
    """Serves a review until `shutdown`.

    Args:
        review: What it serves.
        port: 0 takes any that is free.

    Raises:
        InputError: If the port cannot be used.
    """

    daemon_threads = True
    request_queue_size = _WAITING
    block_on_close = False  # an idle browser must not delay the end

    def __init__(self, review: Review, port: int = 0) -> None:
        self.review = review
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: {error.strerror or error}; 0 takes any that is free") from error

    @property
    def address(self) -> str:
        """The URL to open."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: what reaches this point is a broken connection."""


class _Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version = "rssn"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's signature)
        """Log nothing: every address contains the token."""

    def _guarded(self, answer: Any) -> None:
        try:
            answer(self._admitted())
        except _Refused as refused:
            self.close_connection = True  # a body may be left unread
            self._send_json({"error": str(refused)}, refused.status)
        except LogError as error:
            self._send_json({"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        except RssnError as error:
            self._send_json({"error": str(error)}, HTTPStatus.CONFLICT)
        except ConnectionError:
            self.close_connection = True  # the browser left in the middle of an answer
        except Exception as error:  # the page shows it, and the review continues
            self._send_json({"error": f"{type(error).__name__}: {error}"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _admitted(self) -> str:
        """The path behind the token."""
        port = self.server.server_port
        hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        if self.headers.get("Host") not in hosts:  # DNS rebinding
            raise _Refused(HTTPStatus.FORBIDDEN, "unknown host name")
        if self.headers.get("Origin", f"http://{self.headers['Host']}") not in {f"http://{host}" for host in hosts}:
            raise _Refused(HTTPStatus.FORBIDDEN, "request from another site")
        token, slash, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not self._is_token(token) or not slash:
            raise _Refused(
                HTTPStatus.FORBIDDEN, "the token is missing or wrong; open the address that rssn review printed"
            )
        return path

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.server.token.encode())

    def _get(self, path: str) -> None:
        picture = _PICTURE.fullmatch(path)
        if path in _FILES:
            name, kind = _FILES[path]
            self._send(files("pipelines.review").joinpath("page", name).read_bytes(), kind)
        elif path == "photos":
            query = _query(parse_qs(self.path.partition("?")[2]))
            review = self.server.review
            self._send_json(review.photos.page(query, review.log.current()) | {"name": review.name} | self._upload())
        elif path == "upload":
            self._send_json(self._upload())
        elif picture:
            self._send_picture(picture[1], int(picture[2]))
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, "not found")

    def _send_picture(self, kind: str, number: int) -> None:
        review = self.server.review
        if number >= len(review.photos.photos):
            raise _Refused(HTTPStatus.NOT_FOUND, "no such photograph")
        source = review.photos.photos[number].source
        data = (review.pictures.thumbnail if kind == "thumbnail" else review.pictures.picture)(source)
        if data is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "no picture of it is stored")
        self._send(data, "image/jpeg", cache="private, max-age=3600")

    def _post(self, path: str) -> None:
        if not self._is_token(self.headers.get(TOKEN_HEADER, "")):
            raise _Refused(HTTPStatus.FORBIDDEN, f"the header {TOKEN_HEADER} is missing or wrong")
        review, body = self.server.review, self._body()
        if path == "decide":
            made = review.photos.step(_choices(body), copies=body.get("copies") is True)
            review.log.decide(made, _session(body), only_undecided=body.get("only_undecided") is True)
            sources = [one.source for one in made]
        elif path == "rest":
            made = review.photos.rest(review.log.current())
            review.log.decide(made, _session(body), only_undecided=True)
            sources = [one.source for one in made]
        elif path == "undo":
            sources = review.log.undo(_session(body))
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, "not found")
        decisions = review.log.current()
        changed = review.photos.choices(sources, decisions)
        summary = review.photos.summary(str(body.get("show")), decisions)
        self._send_json({"changed": changed, "summary": summary} | self._upload())

    def _upload(self) -> dict[str, Any]:
        return {"upload": self.server.review.log.upload}

    def _body(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _BODY_BYTES:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"the body must have at most {_BODY_BYTES} bytes")
        try:
            body = parse_json(self.rfile.read(int(length)))
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
        if not isinstance(body, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        return body

    def _send_json(self, value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value, allow_nan=False).encode(), "application/json", status)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, cache: str = "no-store") -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": cache} | _HEADERS
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


def _query(given: Mapping[str, list[str]]) -> Query:
    one = partial(_last, given)
    start = one("start", "0")
    if not start.isascii() or not start.isdigit() or len(start) > 9:
        raise _Refused(HTTPStatus.BAD_REQUEST, "start must be a number")
    return Query(one("show", "all"), one("undecided", "") == "1", int(start), one("backwards", "") == "1")


def _last(given: Mapping[str, list[str]], name: str, default: str) -> str:
    return given.get(name, [default])[-1]


def _session(body: Mapping[str, Any]) -> str:
    """The browser window that asks, by the random name that the page gave itself."""
    given = body.get("session")
    if not isinstance(given, str) or not _SESSION.fullmatch(given):
        raise _Refused(HTTPStatus.BAD_REQUEST, "session must be 8 to 64 letters, digits and dashes")
    return given


def _choices(body: Mapping[str, Any]) -> dict[int, Any]:
    """The decisions of a body, by number."""
    given = body.get("decisions")
    if not isinstance(given, list) or not 0 < len(given) <= PAGE:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"decisions must be a list of 1 to {PAGE}")
    choices = {}
    for one in given:
        number, choice = (one.get("number"), one.get("choice")) if isinstance(one, dict) else (None, None)
        if type(number) is not int or choice not in ("keep", "reject"):
            raise _Refused(HTTPStatus.BAD_REQUEST, "a decision needs a number, and a choice: keep or reject")
        choices[number] = choice
    return choices
