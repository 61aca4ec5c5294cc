"""A store that speaks S3 on loopback (moto's), behind a proxy that can throttle, fail and cut connections."""

from __future__ import annotations

import http.client
import logging
import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import boto3
from moto.server import ThreadedMotoServer

from rssn.storage.urls import Url, checked_url

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
FAILED = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


@dataclass
class Fault:
    """What happens to requests of a method whose path matches, `times` times."""

    kind: Literal["throttle", "fail", "cut", "hang"]  # the last: nothing is answered until the other side is gone
    method: str
    path: str
    times: int = 1
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path) or self.seen >= self.times:
            return False
        self.seen += 1
        return True


class Store:
    """The store, its proxy, and what a test asks of them."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()  # how often for each object, as `GET key`
        self.sent: Counter[str] = Counter()  # bytes for each object, likewise
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self.target = self._moto.get_host_and_port()
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self.client: Any = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.target[1]}", **keys)

    @property
    def environment(self) -> dict[str, str]:
        """What leads to the proxy; trying again is left to s3fs."""
        keys = {"AWS_ACCESS_KEY_ID": "AKIDFORTESTS", "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-tests"}
        return keys | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def bucket(self, name: str) -> Url:
        self.client.create_bucket(Bucket=name)
        return checked_url(f"s3://{name}")

    def put(self, url: str, data: bytes) -> None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, url: str) -> bytes:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def remove(self, url: str) -> None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.client.delete_object(Bucket=bucket, Key=key)

    def names(self, url: str) -> set[str]:
        """Of all objects below a URL."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/" if key else "")
        found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {name.removeprefix(f"{key}/") for name in found}

    def unfinished(self, url: str) -> int:
        """Uploads in parts that nobody has finished or given up."""
        return len(self.client.list_multipart_uploads(Bucket=url.split("/")[2]).get("Uploads", []))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.store.asked[f"{self.command} {self.path.partition('?')[0].rpartition('/')[2]}"] += 1
        fault = next((one for one in self.store.faults if one.strikes(self.command, self.path)), None)
        if fault and fault.kind == "cut" and self.command == "PUT":
            self.rfile.read(size // 2)
            return self._cut()
        body = self.rfile.read(size)
        if fault and fault.kind == "hang":
            self.connection.recv(1)
            self.close_connection = True
            return None
        if fault and fault.kind != "cut":
            return self._answer(*((503, SLOW_DOWN) if fault.kind == "throttle" else (500, FAILED)))
        link = http.client.HTTPConnection(*self.store.target)
        link.request(self.command, self.path, body, dict(self.headers))
        answer = link.getresponse()
        data = answer.read()
        self.store.sent[f"{self.command} {self.path.partition('?')[0].rpartition('/')[2]}"] += len(data)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault:
            self.wfile.write(data[: len(data) // 2])
            return self._cut()
        self.wfile.write(data)
        link.close()
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
