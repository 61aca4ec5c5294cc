"""A store on loopback, behind a proxy that can throttle, fail and cut connections; see `tests.stores` for each."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

import pytest

from rssn.storage.urls import checked_url

_ENOUGH = 4096  # bytes of a request that say what it writes


@dataclass
class Fault:
    """What happens to requests of a method whose path matches, `times` times.

    The method and the path are those that S3 has for it (`GET /bucket/key`, `PUT /bucket/key`,
    `GET /bucket?list-type=2`), whatever the store.
    """

    kind: Literal["throttle", "fail", "refuse", "cut", "lose", "hang"]
    """`cut`: halfway, of what is sent, or answered to GET; `lose`: what is sent is taken, but not answered; `hang`:
    nothing is answered until the other side is gone."""
    method: str
    path: str
    times: int = 1
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path) or self.seen >= self.times:
            return False
        self.seen += 1
        return True


class Store(ABC):
    """The store, its proxy, and what a test asks of them."""

    protocol: ClassVar[str]
    variable: ClassVar[str]  # of the environment, that leads to the store
    secrets: ClassVar[tuple[str, ...]] = ()  # that no output may hold
    answers: ClassVar[dict[str, tuple[int, str]]]  # status and body of what it says of a fault

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()  # how often for each object, as `GET key`
        self.sent: Counter[str] = Counter()  # bytes for each object, likewise
        self._proxy = _Proxy(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_address[1]}"

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What leads to the proxy."""

    def hasten(self, _patch: pytest.MonkeyPatch) -> None:  # noqa: B027  (most need none)
        """Shorten the pauses before its package tries again, where they are long."""

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()

    def bucket(self, name: str) -> str:
        """A new one."""
        self.create(name)
        return checked_url(f"{self.protocol}://{name}")

    @abstractmethod
    def create(self, bucket: str) -> None: ...

    @abstractmethod
    def put(self, url: str, data: bytes) -> None: ...

    @abstractmethod
    def get(self, url: str) -> bytes: ...

    @abstractmethod
    def remove(self, url: str) -> None: ...

    @abstractmethod
    def keys(self, bucket: str, prefix: str) -> set[str]: ...

    @abstractmethod
    def start_upload(self, url: str) -> None:
        """Begin to write an object, and leave it half-done."""

    @abstractmethod
    def unfinished(self, url: str) -> int:
        """Uploads in a bucket that nobody has finished or given up."""

    def names(self, url: str) -> set[str]:
        """Of all objects below a URL."""
        bucket, key = split(url)
        start = f"{key}/" if key else ""
        return {name.removeprefix(start) for name in self.keys(bucket, start)}

    def stored(self, url: str) -> dict[str, bytes]:
        """All objects below a URL."""
        return {name: self.get(f"{url}/{name}") for name in sorted(self.names(url))}

    def meaning(self, method: str, target: str, _body: bytes) -> tuple[str, str]:
        """The method and the path that S3 has for a request, of whose body the beginning is known."""
        return method, unquote(target)


def split(url: str) -> tuple[str, str]:
    """Bucket and key."""
    bucket, _, key = url.partition("://")[2].partition("/")
    return bucket, key


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # those who are gone want no answer
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(max(size // 2, min(size, _ENOUGH)))
        method, path = self.store.meaning(self.command, self.path, body)
        name = f"{method} {path.partition('?')[0].rpartition('/')[2]}"
        self.store.asked[name] += 1
        fault = next((one for one in self.store.faults if one.strikes(method, path)), None)
        if fault and fault.kind == "cut" and method != "GET":
            return self._cut()
        body += self.rfile.read(size - len(body))
        if fault and fault.kind == "hang":
            self.connection.recv(1)
            self.close_connection = True
            return None
        if fault and fault.kind in self.store.answers:
            return self._answer(*self.store.answers[fault.kind])
        link = http.client.HTTPConnection(*self.store.target)
        link.request(self.command, self.path, body, dict(self.headers))
        answer = link.getresponse()
        data = answer.read()
        link.close()
        self.store.sent[name] += len(data)
        if fault and fault.kind == "lose":
            return self._cut()
        self.send_response(answer.status)
        for header, value in answer.getheaders():
            if header.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(header, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault:
            self.wfile.write(data[: len(data) // 2])
            return self._cut()
        self.wfile.write(data)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json" if body.startswith("{") else "application/xml")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def _cut(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
