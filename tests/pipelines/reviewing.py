"""A set to review, made in a second, and the real server on it, as a user starts it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bg20k.rules import CurationRules
from bg20k.schema import PUBLISHED, VERDICTS
from rssn.dataset.schema import REJECTS, picture
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import encode_jpeg
from rssn.storage.files import write_json, write_parquet
from rssn.storage.location import Location


def verdict(number: int, **facts: Any) -> dict[str, Any]:
    """A row of `verdicts.parquet`: kept, screened, nothing salient in it, unless told otherwise."""
    plain = {
        "source": f"{number:05d}.jpg",
        "background_id": f"id{number:05d}",
        "candidate_shard": "candidates-00000-of-00001",
        "keep": True,
        "stage": "split",
        "reason": "kept",
        "message": "kept for train",
        "score": 0.0,
        "duplicate_of": None,
        "split": "train",
    }
    return dict.fromkeys(VERDICTS.names) | plain | facts


def salient(number: int, score: float, **facts: Any) -> dict[str, Any]:
    box = {"label": "cat", "confidence": score, "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.25}
    plain = {"keep": False, "stage": "salience", "reason": "salient_object", "split": None, "score": score}
    return verdict(number, **plain, message=f"cat with confidence {score:.2f}", boxes=[box]) | facts


def duplicate(number: int, keeper: int, score: float | None) -> dict[str, Any]:
    words = f"the same bytes as {keeper:05d}.jpg" if score is None else f"looks like {keeper:05d}.jpg"
    plain = {"keep": False, "stage": "duplicates", "reason": "duplicate", "split": None, "score": score}
    return verdict(number, **plain, message=words, duplicate_of=f"id{keeper:05d}")


def small(number: int) -> dict[str, Any]:
    words = {"message": "640 x 480 px; the shorter side must have 1080 px or more", "background_id": None}
    return verdict(number, keep=False, stage="resolution", reason="too_small", score=None, split=None, **words)


def photograph(number: int, width: int = 720, height: int = 480) -> bytes:
    """A JPEG in a colour of its own, with detail."""
    rng = np.random.default_rng(number)
    coarse = cv2.resize(rng.uniform(40, 215, (4, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(np.clip(coarse, 0, 255).astype(np.uint8))


def write_set(root: Path, rows: list[dict[str, Any]], *, pictures: bool = True) -> Path:
    """A finished curated set without its working folder: verdicts, kept photographs, thumbnails of the rejected."""
    folder = DatasetFolder(root)
    write_parquet(root / "verdicts.parquet", VERDICTS, rows)
    if pictures:
        kept = [row for row in rows if row["keep"]]
        write_parquet(folder.data("train-00000-of-00001"), PUBLISHED, map(_background, kept))
        refused = [row for row in rows if not row["keep"]]
        write_parquet(folder.rejects_path("train-00000-of-00001"), REJECTS, map(_reject, refused))
    rules = asdict(CurationRules(salient_cost=1.0))
    plan = {"kind": "backgrounds", "rules": rules, "detector": "yolo", "photos": {"count": len(rows)}}
    totals = {"rows": sum(row["keep"] for row in rows)}
    facts = {"plan": plan, "sources": {}, "command": "rssn build-bg20k photos --out set", "totals": totals}
    write_json(folder.manifest_path, facts)
    return root


def _background(row: Mapping[str, Any]) -> dict[str, Any]:
    number = int(row["source"][:5])
    image = picture(photograph(number), "photo.jpg")
    return dict.fromkeys(PUBLISHED.names) | {"source": row["source"], "image": image, "width": 720, "height": 480}


def _reject(row: Mapping[str, Any]) -> dict[str, Any]:
    number = int(row["source"][:5])
    thumbnail = None if row["reason"] == "too_small" else picture(photograph(number, 256, 171), "thumbnail.jpg")
    reasons = {name: row[name] for name in ("source", "stage", "reason", "message")}
    return {"item_id": row["background_id"] or row["source"], "thumbnail": thumbnail} | reasons


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.split("/")[2].split(":")[1])

    @property
    def token(self) -> str:
        return self.address.split("/")[3]

    def ask(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str = ""
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer; `path` goes out as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
        sent = {"Host": f"127.0.0.1:{self.port}"} | dict(headers or {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method or ("GET" if body is None else "POST"), path, data, sent)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def get(self, path: str) -> Any:
        """The JSON behind the token."""
        status, _, data = self.ask(f"/{self.token}/{path}")
        assert status == 200, data
        return json.loads(data)

    def post(self, path: str, body: Any, session: str = "one-window") -> tuple[int, Any]:
        """Status and JSON, with the token in its header and the window in its body."""
        body = {"session": session} | body if isinstance(body, dict) else body
        status, _, data = self.ask(f"/{self.token}/{path}", body, {"X-Review-Token": self.token})
        return status, json.loads(data)


@contextmanager
def serve(root: Location, *options: str, **environment: str) -> Iterator[Served]:
    """`rssn review ROOT --no-open`, until the block ends."""
    command = [sys.executable, "-m", "pipelines.cli", "review", str(root), "--no-open", *options]
    variables = os.environ | {"PYTHONUNBUFFERED": "1"} | environment
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    try:
        if "http://" not in line:
            process.wait(300)
            raise AssertionError(line + process.stderr.read())
        yield Served(process, line.split()[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def decided(root: Path) -> dict[str, str]:
    """What holds on disk, by source, read without the project's own code."""
    with sqlite3.connect(f"file:{root / 'review.sqlite'}?mode=ro", uri=True) as database:
        return _decided(database)


def decided_in(data: bytes) -> dict[str, str]:
    """Likewise what a stored file says."""
    with sqlite3.connect(":memory:") as database:
        database.deserialize(data)
        return _decided(database)


def _decided(database: sqlite3.Connection) -> dict[str, str]:
    rows = database.execute("SELECT source, verdict FROM decisions ORDER BY id").fetchall()
    return {source: choice for source, choice in dict(rows).items() if choice}
