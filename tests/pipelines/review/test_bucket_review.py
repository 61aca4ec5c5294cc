"""`rssn review` of a set in a bucket: pictures from there, decisions beside the set, nothing lost or written over."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

import pipelines.review.bucket_log as module
from pipelines.review.bucket_log import BucketLog, copy_of, open_log
from pipelines.review.log import LogError, NewDecision, read_decisions
from pipelines.review.queue import load_review
from pipelines.review.thumbnails import Pictures
from rssn.errors import InputError
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store
from tests.pipelines.reviewing import decided_in, photograph, salient, serve, small, verdict, write_set

ROWS = [verdict(0, score=0.4), salient(1, 0.6), small(2), *(verdict(n) for n in range(3, 6))]
LEASE = ".review-lease.json"


@pytest.fixture
def s3(store: Store) -> Store:
    """Each store."""
    return store


@pytest.fixture
def bucket(place: str) -> str:
    return place


@pytest.fixture
def root(s3: Store, bucket: str, tmp_path: Path) -> Iterator[BucketPath]:
    write_set(tmp_path / "set", ROWS)
    for path in (tmp_path / "set").rglob("*"):
        if path.is_file():
            s3.put(f"{bucket}/set/{path.relative_to(tmp_path / 'set')}", path.read_bytes())
    there = BucketPath(f"{bucket}/set")
    yield there
    shutil.rmtree(copy_of(there).parent, ignore_errors=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)


def reject(number: int) -> list[NewDecision]:
    return [NewDecision(f"{number:05d}.jpg", f"id{number:05d}", "reject")]


def opened(root: BucketPath) -> BucketLog:
    return BucketLog(root, threading.Event())


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def stored(s3: Store, root: BucketPath) -> dict[str, str]:
    return decided_in(s3.get(f"{root}/review.sqlite")) if "review.sqlite" in s3.names(str(root)) else {}


def kill(log: BucketLog) -> None:
    """End as a killed process does: nothing is uploaded any more."""
    log._ended.set()
    log._changed.set()
    log._uploads.join()
    super(BucketLog, log).close()


def killed_after_a_decision(root: BucketPath, monkeypatch: pytest.MonkeyPatch) -> BucketLog:
    """A log whose process died before it uploaded the one decision that it had stored."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 60)
    log = opened(root)
    log.decide(reject(0), "window-1")
    kill(log)
    return log


def test_verdicts_and_pictures_are_those_of_the_set(s3: Store, root: BucketPath, tmp_path: Path) -> None:
    assert load_review(root).photos == load_review(tmp_path / "set").photos
    pictures, here = Pictures(root), Pictures(tmp_path / "set")
    assert pictures.picture("00000.jpg") == photograph(0)
    for row in ROWS:
        assert pictures.thumbnail(row["source"]) == here.thumbnail(row["source"])


def test_every_step_is_in_the_bucket_a_moment_later(s3: Store, root: BucketPath) -> None:
    with open_log(root) as log:
        assert LEASE in s3.names(str(root))
        assert log.upload == {"waiting": False, "problem": ""}
        log.decide(reject(0), "window-1")
        until(lambda: stored(s3, root) == {"00000.jpg": "reject"})
        log.undo("window-1")
        until(lambda: stored(s3, root) == {} and not (log.upload or {})["waiting"])
        log.decide(reject(1), "window-1")
    assert stored(s3, root) == {"00001.jpg": "reject"}
    assert read_decisions(root).keys() == {"00001.jpg"}
    assert LEASE not in s3.names(str(root))
    assert list(copy_of(root).parent.iterdir()) == []
    with open_log(root) as log:
        log.decide(reject(0), "window-2")
    assert stored(s3, root) == {"00000.jpg": "reject", "00001.jpg": "reject"}


def test_without_a_decision_nothing_is_written(s3: Store, root: BucketPath) -> None:
    with open_log(root):
        pass
    assert "review.sqlite" not in s3.names(str(root))


def test_an_upload_that_fails_is_told_and_tried_again(s3: Store, root: BucketPath) -> None:
    with closing(opened(root)) as log:
        s3.faults = [Fault("refuse", "PUT", "review.sqlite")]
        log.decide(reject(0), "window-1")
        until(lambda: bool(log.upload["problem"]) or not log.upload["waiting"])
        until(lambda: log.upload == {"waiting": False, "problem": ""})
        assert s3.faults[0].seen == 1
        assert stored(s3, root) == {"00000.jpg": "reject"}


def test_what_could_not_be_uploaded_is_found_again(s3: Store, root: BucketPath) -> None:
    log = opened(root)
    s3.faults = [Fault("refuse", "PUT", "review.sqlite", times=1000)]
    log.decide(reject(0), "window-1")
    until(lambda: "access is refused" in log.upload["problem"])
    words = (
        rf"{root}/review.sqlite: access is refused.*; the decisions are in {copy_of(root)} until rssn review of this"
    )
    with pytest.raises(InputError, match=words):
        log.close()
    s3.faults = []
    with closing(opened(root)) as log:
        assert log.current().keys() == {"00000.jpg"}
        until(lambda: stored(s3, root) == {"00000.jpg": "reject"})


def test_a_kill_between_decision_and_upload_loses_nothing(
    s3: Store, root: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after_a_decision(root, monkeypatch)
    assert stored(s3, root) == {}
    opened(root).close()
    assert stored(s3, root) == {"00000.jpg": "reject"}


def test_an_upload_whose_answer_was_lost_is_no_conflict(
    s3: Store, root: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process dies of it: what it sent is known by its digest."""
    log = killed_after_a_decision(root, monkeypatch)
    data = copy_of(root).read_bytes()
    log._remember(module.Synced("", 0, sha256(data).hexdigest(), 1))
    s3.put(f"{root}/review.sqlite", data)
    with closing(opened(root)) as log:
        log.decide(reject(1), "window-1")
    assert stored(s3, root) == {"00000.jpg": "reject", "00001.jpg": "reject"}


@pytest.mark.parametrize("there_before", [False, True])
def test_what_something_else_wrote_is_never_written_over(there_before: bool, s3: Store, root: BucketPath) -> None:
    if there_before:
        with closing(opened(root)) as log:
            log.decide(reject(3), "window-1")
    log = opened(root)
    s3.put(f"{root}/review.sqlite", b"somebody else's")
    log.decide(reject(0), "window-2")
    until(lambda: "replaced or removed" in log.upload["problem"])
    words = (
        rf"{root}/review.sqlite: it was replaced or removed meanwhile, .* are in {copy_of(root)}: to keep them, copy"
    )
    with pytest.raises(LogError, match=words):
        log.decide(reject(1), "window-2")
    with pytest.raises(InputError, match=words):
        log.close()
    with pytest.raises(InputError, match=words):  # nor by the next one
        opened(root)
    assert s3.get(f"{root}/review.sqlite") == b"somebody else's"
    assert decided_in(copy_of(root).read_bytes())["00000.jpg"] == "reject"


def test_a_copy_that_holds_nothing_new_gives_way(s3: Store, root: BucketPath) -> None:
    log = opened(root)
    log.decide(reject(0), "window-1")
    until(lambda: not log.upload["waiting"])
    kill(log)
    theirs = s3.get(f"{root}/review.sqlite")
    with closing(opened(root)) as log:
        log.decide(reject(1), "window-1")
    newer = s3.get(f"{root}/review.sqlite")
    copy_of(root).write_bytes(theirs)  # as another machine has left it
    module.write_json(copy_of(root).with_name("synced.json"), {"version": "1 old", "rows": 1})
    with closing(opened(root)) as log:
        assert log.current().keys() == {"00000.jpg", "00001.jpg"}
    assert s3.get(f"{root}/review.sqlite") == newer


def test_a_damaged_object_is_named_and_may_be_mended(s3: Store, root: BucketPath) -> None:
    s3.put(f"{root}/review.sqlite", b"SQLite format 3\0" + bytes(range(256)) * 16)
    with pytest.raises(LogError, match=f"^{root}/review.sqlite: the decisions cannot be read.*; restore a copy of it"):
        opened(root)
    s3.remove(f"{root}/review.sqlite")
    with closing(opened(root)) as log:
        log.decide(reject(0), "window-1")
    assert stored(s3, root) == {"00000.jpg": "reject"}


def lease(s3: Store, root: BucketPath, age: float) -> None:
    facts = {"host": "elsewhere", "pid": 1, "since": time.time() - 900, "renewed": time.time() - age}
    s3.put(f"{root}/{LEASE}", json.dumps(facts).encode())


def test_a_second_review_is_refused_and_a_stale_one_taken_over(s3: Store, root: BucketPath) -> None:
    lease(s3, root, 5)
    words = rf"{root}: another review is at work here \(process 1 on elsewhere, since .*, renewed \d s ago\)"
    with pytest.raises(InputError, match=words), open_log(root):
        pass
    lease(s3, root, 61)
    with open_log(root) as log:
        log.decide(reject(0), "window-1")
    assert stored(s3, root) == {"00000.jpg": "reject"}


def test_one_that_lost_its_lease_uploads_nothing_more(s3: Store, root: BucketPath) -> None:
    lost = threading.Event()
    log = BucketLog(root, lost)
    lost.set()
    log.decide(reject(0), "window-1")
    until(lambda: "another review took over" in log.upload["problem"])
    with pytest.raises(InputError, match="another review took over, and nothing is stored any more"):
        log.close()
    assert stored(s3, root) == {}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_uploads_before_it_ends(number: signal.Signals, s3: Store, root: BucketPath) -> None:
    with serve(root) as server:
        page = server.get("photos")
        assert (page["name"], page["upload"]) == ("set", {"waiting": False, "problem": ""})
        assert server.ask(f"/{server.token}/thumbnail/0")[0] == 200
        first = page["photos"][0]
        status, answer = server.post("decide", {"decisions": [{"number": 0, "choice": "reject"}]})
        assert (status, answer["upload"]["waiting"]) == (200, True)
        server.process.send_signal(number)
        out, err = server.process.communicate(timeout=300)
        assert (server.process.returncode, err) == (0, "")
        assert f"1 of 6 photographs decided: {root}/review.sqlite" in out
    assert stored(s3, root) == {first["source"]: "reject"}


@pytest.mark.slow
def test_a_second_command_is_refused_in_one_line(s3: Store, root: BucketPath) -> None:
    with serve(root), pytest.raises(AssertionError, match="another review is at work here") as caught, serve(root):
        pass
    assert str(caught.value).count("\n") == 1
