from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import rssn.storage.lease as lease_module
from rssn.errors import InputError
from rssn.storage.lease import hold_lease, read_lease
from rssn.storage.lock import lock_file

HOLDER = """
import sys, time
from pathlib import Path
from rssn.storage.lease import hold_lease
with hold_lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):  # type: ignore[no-untyped-def]
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_of_two_is_refused_by_name(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    owner = rf"process {holder.pid} on .*, since .*, renewed \d s ago"
    with (
        pytest.raises(InputError, match=rf"out: another run is at work here \({owner}\); wait for it, or stop it$"),
        hold_lease(tmp_path / "out"),
    ):
        pass


def test_a_lease_of_a_killed_run_is_taken_over_at_once(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # all its threads have ended, and nobody asked how
    with hold_lease(tmp_path / "out"):
        assert read_lease(tmp_path / "out").pid == os.getpid()  # type: ignore[union-attr]
    assert read_lease(tmp_path / "out") is None


def test_a_lease_of_another_machine_is_stale_after_a_minute(tmp_path: Path) -> None:
    path = tmp_path / ".lease.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": time.time() - 900}))
    with pytest.raises(InputError, match="process 1 on elsewhere"), hold_lease(tmp_path):
        pass
    os.utime(path, (time.time() - 61,) * 2)
    with hold_lease(tmp_path):
        held = read_lease(tmp_path)
        assert held
        assert held.pid == os.getpid()
    assert list(tmp_path.iterdir()) == []


ATTEMPT = """
import sys
from pathlib import Path
from rssn.storage.lease import hold_lease
from rssn.errors import InputError
try:
    with hold_lease(Path(sys.argv[1])):
        print("took it over")
except InputError as error:
    print(error)
"""


def test_a_live_run_keeps_its_lease_in_another_namespace_of_processes(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """As two containers with the host's network see each other: one host name, and no process of the other's ids."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of one's own needs the right to make one")

    def attempt() -> str:
        command = [*inside, sys.executable, "-c", ATTEMPT, str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    os.utime(tmp_path / "out" / ".lease.json", (0, 0))
    assert f"another run is at work here (process {holder.pid} on" in attempt()
    assert holder.poll() is None
    holder.kill()
    holder.wait()
    assert attempt() == "took it over\n"


def test_a_run_that_is_suspended_is_not_taken_for_dead(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGSTOP)
    os.utime(tmp_path / "out" / ".lease.json", (0, 0))
    with pytest.raises(InputError, match=r"wait for it, or stop it$"), hold_lease(tmp_path / "out"):
        pass


_DAMAGED = {
    "half": '{"host": "here", "pid": 1, "sin',
    "no JSON": "{",
    "a list": "[]",
    "empty": "",
    "nested": "[" * 100_000,
    "endless": '{"host": "here", "pid": Infinity, "since": 1.0}',
    "long": '{"host": "here", "pid": 1, "since": 1' + "0" * 400 + "}",
    "no time": '{"host": "here", "pid": 1, "since": 1.0, "renewed": NaN}',
    "no name": '{"host": 7, "pid": 1, "since": 1.0}',
}


@pytest.mark.parametrize("text", [*_DAMAGED, "another process", "no lock"])
def test_without_a_word_of_the_kernel_the_age_counts(text: str, tmp_path: Path) -> None:
    """A process id that means nobody here, or a lease that is damaged, is somebody's for a minute."""
    facts = {"host": socket.gethostname(), "pid": 2**22 + 1, "since": time.time() - 900}
    held = json.dumps(facts | ({} if text == "no lock" else {"lock": "another kernel 1 2"}))
    path = tmp_path / ".lease.json"
    path.write_text(_DAMAGED.get(text, held))
    with (
        pytest.raises(InputError, match="a lease that is not renewed for a minute is taken over"),
        hold_lease(tmp_path),
    ):
        pass
    os.utime(path, (time.time() - 61,) * 2)
    with hold_lease(tmp_path):
        assert read_lease(tmp_path).pid == os.getpid()  # type: ignore[union-attr]


def test_a_file_system_without_locks_goes_by_the_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with hold_lease(tmp_path):
        held = read_lease(tmp_path)
        assert held
        assert (held.lock, held.alive, held.stale) == ("", None, False)
        with pytest.raises(InputError, match="not renewed for a minute"), hold_lease(tmp_path):
            pass


def test_a_damaged_lease_of_a_live_run_is_not_taken_over(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "out" / ".lease.json"
    path.write_text("{")
    os.utime(path, (0, 0))
    words = r"is at work here \(its lease is damaged and does not name its owner, renewed \d+ s ago\); .*, or stop it$"
    with pytest.raises(InputError, match=words), hold_lease(tmp_path / "out"):
        pass


def test_a_copy_of_a_folder_is_not_at_work(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert read_lease(tmp_path / "out").alive is True  # type: ignore[union-attr]
    assert read_lease(tmp_path / "copy").alive is None  # type: ignore[union-attr]


def test_of_many_that_come_at_once_one_gets_it(tmp_path: Path) -> None:
    (tmp_path / ".lease.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": 0.0}))
    os.utime(tmp_path / ".lease.json", (0, 0))
    got, refused, all_tried = [], [], threading.Barrier(8)

    def attempt() -> None:
        try:
            with hold_lease(tmp_path):
                got.append(1)
                all_tried.wait()
        except InputError:
            refused.append(1)
            all_tried.wait()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)


def test_it_is_renewed_and_a_run_that_lost_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEWED_SECONDS", 0.05)
    path = tmp_path / ".lease.json"

    def work() -> None:
        with hold_lease(tmp_path):
            os.utime(path, (0, 0))
            deadline = time.time() + 120
            while path.stat().st_mtime < 1 and time.time() < deadline:
                time.sleep(0.02)
            assert path.stat().st_mtime > 1
            path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": 1.0}))
            time.sleep(60)

    with pytest.raises(InputError, match="another run took over"):
        work()
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_a_lease_that_is_lost_when_the_work_has_ended_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "RENEWED_SECONDS", 0.01)
    before = signal.getsignal(signal.SIGUSR1)
    asked, ended = threading.Event(), threading.Event()

    def renew(*_: object) -> bool:
        asked.set()
        assert ended.wait(60)
        time.sleep(0.3)  # the main thread waits for this one
        return False

    monkeypatch.setattr(lease_module, "_renew", renew)
    with hold_lease(tmp_path):
        assert asked.wait(60)
        ended.set()
    assert signal.getsignal(signal.SIGUSR1) == before
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_folder_is_removed_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEWED_SECONDS", 0.05)

    def work() -> None:
        with hold_lease(tmp_path / "out"):
            shutil.rmtree(tmp_path / "out")
            time.sleep(60)

    with pytest.raises(InputError, match="out: removed while this run was at work; run the same command again"):
        work()
    assert not (tmp_path / "out").exists()


def test_a_lock_is_held_by_one_and_then_by_the_next(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as one, (tmp_path / "a").open() as other:
        assert lock_file(one.fileno()) is True
        assert lock_file(other.fileno()) is False
        one.close()
        assert lock_file(other.fileno(), wait=True) is True


def test_a_lease_from_the_future_names_the_clock_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / ".lease.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": time.time() - 900}))
    os.utime(path, (time.time() + 86_400,) * 2)
    words = r"renewed 8\d{4} s from now: one of the clocks is wrong\).*; if nothing works there, set the clock right"
    with pytest.raises(InputError, match=words), hold_lease(tmp_path):
        pass
