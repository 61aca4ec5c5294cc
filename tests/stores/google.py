"""Google Cloud Storage, as gcp-storage-emulator speaks it, with what it lacks of what gcsfs asks of it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection
from http.server import HTTPServer
from io import BytesIO
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote

import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

from tests.bucket import Store, split

_OBJECT = re.compile(r"(?:/upload|/download)?/storage/v1/b/([^/]+)/o(?:/([^?]+))?")
_NAME = re.compile(rb'"name": "((?:[^"\\]|\\.)*)"')


class GoogleStore(Store):
    protocol = "gs"
    variable = "STORAGE_EMULATOR_HOST"
    answers: ClassVar = {
        "throttle": (429, '{"error": {"code": 429, "message": "The rate limit for object mutation was exceeded."}}'),
        "fail": (503, '{"error": {"code": 503, "message": "We encountered an internal error."}}'),
        "refuse": (401, '{"error": {"code": 401, "message": "Anonymous caller does not have access."}}'),
    }

    def __init__(self) -> None:
        for name in ("gcp_storage_emulator", "api.object", "api.bucket"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._storage = _Storage(use_memory_fs=True)
        self._server = HTTPServer(("127.0.0.1", 0), partial(_Handler, self._storage))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        super().__init__(("127.0.0.1", self._server.server_address[1]))

    @property
    def environment(self) -> dict[str, str]:
        """What leads to the proxy, as nobody.

        No Google machine is asked who we are, nor (over gRPC, which no emulator speaks) what kind of a bucket it is.
        """
        nobody = {"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": "/nonexistent", "GOOGLE_APPLICATION_CREDENTIALS": ""}
        return nobody | {"STORAGE_EMULATOR_HOST": self.endpoint, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}

    def hasten(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=lambda _: asyncio.sleep(0.1)))

    def close(self) -> None:
        super().close()
        self._server.shutdown()
        self._server.server_close()

    def create(self, bucket: str) -> None:
        keeps_nothing = {"retentionDurationSeconds": "0"}
        self._ask("POST", "/storage/v1/b", json.dumps({"name": bucket, "softDeletePolicy": keeps_nothing}).encode())

    def put(self, url: str, data: bytes) -> None:
        head = b"--==0==\nContent-Type: application/json\n\n{}\n--==0==\nContent-Type: application/octet-stream\n\n"
        kind = {"Content-Type": 'multipart/related; boundary="==0=="'}  # the other way takes nothing empty
        self._ask("POST", _uploading(url, "multipart"), head + data + b"\n--==0==--", kind)

    def get(self, url: str) -> bytes:
        return self._ask("GET", f"{_path(url)}?alt=media")[0]

    def remove(self, url: str) -> None:
        self._ask("DELETE", _path(url))

    def keys(self, bucket: str, prefix: str) -> set[str]:
        listing = self._ask("GET", f"/storage/v1/b/{bucket}/o?prefix={quote(prefix, safe='')}")[0]
        return {item["name"] for item in json.loads(listing)["items"]}

    def start_upload(self, url: str) -> None:
        session = self._ask("POST", _uploading(url, "resumable"), b"{}")[1]
        self._ask("PUT", session, b"half", {"Content-Range": "bytes 0-3/9"})

    def unfinished(self, url: str) -> int:
        return sum(each["bucket"] == split(url)[0] for each in self._storage.resumable.values())

    def meaning(self, method: str, target: str, body: bytes) -> tuple[str, str]:
        bucket, key = named(target, body)
        query = target.partition("?")[2]
        if "/upload/" in target:
            method = "POST" if "uploadType=resumable" in query and "upload_id" not in query else "PUT"
        elif method == "GET" and not key:
            return method, f"/{bucket}?list-type=2&{unquote(query)}"
        elif method == "GET" and "alt=media" not in query:
            method = "HEAD"
        return method, f"/{bucket}/{key}"

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[bytes, str]:
        """What is answered, and where it leads."""
        link = HTTPConnection(*self.target)
        link.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = link.getresponse()
        assert answer.status < 400, f"{method} {path}: {answer.status}"
        return answer.read(), answer.getheader("Location", "").removeprefix(f"http://127.0.0.1:{self.target[1]}")


def named(target: str, body: bytes) -> tuple[str, str]:
    """Bucket and key that a request is about."""
    found = _OBJECT.match(target)
    if not found:
        return "", ""
    key = unquote(found[2] or "")
    if "/upload/" in target:
        name = parse_qs(target.partition("?")[2]).get("name")
        inside = _NAME.search(body)
        key = name[0] if name else json.loads(b'"%s"' % inside[1]) if inside else ""
    return found[1], key


def _uploading(url: str, way: str) -> str:
    bucket, key = split(url)
    return f"/upload/storage/v1/b/{bucket}/o?uploadType={way}&name={quote(key, safe='')}"


def _path(url: str) -> str:
    bucket, key = split(url)
    return f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"


class _Storage(Storage):
    def _write_config_to_file(self) -> None:
        """Nothing: all of it is in memory."""


class _Handler(RequestHandler):
    """The emulator's, which knows no `ifGenerationMatch`, and cannot give up an upload. It answers one at a time."""

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.rfile = BytesIO(body)
        bucket, key = named(self.path, body)
        if "ifGenerationMatch=0" in self.path and key in self.storage.objects.get(bucket, {}):
            self._answer(412)
        else:
            super().do_POST()

    def do_DELETE(self) -> None:  # noqa: N802
        if "/upload/" in self.path:
            self.storage.resumable.pop(parse_qs(self.path.partition("?")[2])["upload_id"][0], None)
            self._answer(499)
        else:
            super().do_DELETE()

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
