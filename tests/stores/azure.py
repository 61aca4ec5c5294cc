"""Azure Blob Storage, as azurite speaks it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from azure.storage.blob import BlobServiceClient

from tests.bucket import Store, split

FOLDER = Path(sys.prefix) / "azurite"
"""Where `npm install --prefix` puts it."""

_ACCOUNT = "tests"
_KEY = base64.b64encode(b"the-secret-of-the-tests").decode()
_MAIN = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_PROGRAM = """
process.stdin.on('close', () => process.exit()).resume();  // whoever started it is gone
process.argv.splice(1, 0, 'azurite-blob');
require(process.env.AZURITE_MAIN);
"""
_SETTINGS = ("--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck")


def missing() -> str:
    """Why it cannot be run; empty: it can."""
    if shutil.which("node") and _MAIN.is_file():
        return ""
    return f"no Azure Blob Storage to test with: npm install --prefix {FOLDER} azurite@3"


class AzureStore(Store):
    protocol = "az"
    variable = "AZURE_STORAGE_CONNECTION_STRING"
    secrets = (_KEY,)
    answers: ClassVar = {
        "throttle": (
            503,
            "<Error><Code>ServerBusy</Code><Message>Ingress is over the account limit.</Message></Error>",
        ),
        "fail": (500, "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"),
        "refuse": (403, "<Error><Code>AuthenticationFailed</Code><Message>Access is denied.</Message></Error>"),
    }

    def __init__(self) -> None:
        environment = os.environ | {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}", "AZURITE_MAIN": str(_MAIN)}
        self._process = subprocess.Popen(
            [shutil.which("node") or "node", "-e", _PROGRAM, "--", *_SETTINGS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd="/",
        )
        super().__init__(("127.0.0.1", self._listens()))
        self._client: Any = BlobServiceClient.from_connection_string(_connection(f"http://127.0.0.1:{self.target[1]}"))

    @property
    def environment(self) -> dict[str, str]:
        return {"AZURE_STORAGE_CONNECTION_STRING": _connection(self.endpoint)}

    def hasten(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("azure.storage.blob._shared.policies_async.ExponentialRetry.get_backoff_time", lambda *_: 0.1)

    def close(self) -> None:
        super().close()
        self._process.kill()
        self._process.communicate()

    def create(self, bucket: str) -> None:
        self._client.create_container(bucket)

    def put(self, url: str, data: bytes) -> None:
        self._blob(url).upload_blob(data, overwrite=True)

    def get(self, url: str) -> bytes:
        data: bytes = self._blob(url).download_blob().readall()
        return data

    def remove(self, url: str) -> None:
        self._blob(url).delete_blob()

    def keys(self, bucket: str, prefix: str) -> set[str]:
        return set(self._client.get_container_client(bucket).list_blob_names(name_starts_with=prefix))

    def start_upload(self, url: str) -> None:
        self._blob(url).stage_block("half", b"half")

    def unfinished(self, url: str) -> int:
        blobs = self._client.get_container_client(split(url)[0])
        return len(
            {each.name for each in blobs.list_blobs(include=["uncommittedblobs"])} - self.keys(split(url)[0], "")
        )

    def meaning(self, method: str, target: str, body: bytes) -> tuple[str, str]:
        path, _, query = unquote(target).partition("?")
        path = path.removeprefix(f"/{_ACCOUNT}")
        return method, f"{path}?list-type=2&{query}" if "comp=list&" in f"{query}&" else path

    def _listens(self) -> int:
        assert self._process.stdout
        for line in self._process.stdout:
            if said := re.search(r"listens on http://127\.0\.0\.1:(\d+)", line):
                return int(said[1])
        raise RuntimeError("azurite ended before it listened")

    def _blob(self, url: str) -> Any:
        bucket, key = split(url)
        return self._client.get_blob_client(bucket, key)


def _connection(endpoint: str) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint}/{_ACCOUNT};"
