from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import rssn.storage.machine
from rssn.storage.machine import available_cpus, cache_home, home_takes, use_cache_home

ROOT = Path(__file__).parents[3]
SECOND = "41 31 0:38 {top} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw"
FIRST = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def second_version(root: Path, own: str, limits: dict[str, str], top: str = "/") -> Path:
    files = {"proc/self/cgroup": f"0::{own}\n", "proc/self/mountinfo": SECOND.format(top=top) + "\n"}
    return write(root, **files, **{f"sys/fs/cgroup{group}/cpu.max": f"{limit}\n" for group, limit in limits.items()})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"/a/b": "200000 100000"}, 2),
        ({"/a/b": "150000 100000"}, 2),  # one and a half: two processes use it up
        ({"/a/b": "20000 100000"}, 1),
        ({"/a/b": "max 100000", "/a": "300000 100000"}, 3),  # of the group above
        ({"/a/b": "800000 100000", "/a": "300000 100000", "": "max 100000"}, 3),
        ({"/a/b": "max 100000"}, 16),
        ({"/a/b": "9900000 100000"}, 16),
        ({"/other": "100000 100000"}, 16),
        ({"/a/b": "nonsense"}, 16),
        ({}, 16),
    ],
)
def test_quotas_of_control_groups(tmp_path: Path, limits: dict[str, str], expected: int) -> None:
    assert available_cpus(second_version(tmp_path, "/a/b", limits)) == expected


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    assert available_cpus(second_version(tmp_path, "/docker/1a", {"": "400000 100000"}, top="/docker/1a")) == 4
    assert available_cpus(second_version(tmp_path, "/docker/1a", {"": "500000 100000"})) == 5  # a path of the host


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 16)])
def test_quotas_of_the_first_version(tmp_path: Path, quota: str, expected: int) -> None:
    group = "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs"
    write(
        tmp_path,
        **{
            "proc/self/cgroup": "12:pids:/elsewhere\n4:cpu,cpuacct:/box\n0::/\n",
            "proc/self/mountinfo": FIRST.format(top="/") + "\n",
            f"{group}_quota_us": quota,
            f"{group}_period_us": "100000",
        },
    )
    assert available_cpus(tmp_path) == expected


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 16


@pytest.mark.skipif(not Path("/usr/bin/taskset").exists(), reason="needs taskset")
def test_affinity() -> None:
    code = "from rssn.storage.machine import available_cpus; print(available_cpus())"
    words = ["/usr/bin/taskset", "-c", "0", sys.executable, "-c", code]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_cache_stays_where_the_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "later"))
    assert cache_home() == tmp_path / "made" / "later"
    assert not (tmp_path / "made").exists()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_home() == tmp_path / ".cache"
    assert home_takes(".ray")


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private folder of a user whose home is a file: not even root writes below it."""
    (tmp_path / "home").write_text("")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(rssn.storage.machine.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"rssn-{os.getuid()}-cache"


def test_without_a_home_a_cache_has_a_folder_that_is_nobody_elses(homeless: Path) -> None:
    assert cache_home() == homeless
    assert homeless.stat().st_mode & 0o777 == 0o700
    use_cache_home()
    assert os.environ["XDG_CACHE_HOME"] == str(homeless)


@pytest.mark.parametrize("trap", ["open", "link"])
def test_a_folder_that_others_can_write_is_not_trusted(homeless: Path, tmp_path: Path, trap: str) -> None:
    if trap == "open":
        homeless.mkdir()
        homeless.chmod(0o777)
    else:
        (tmp_path / "theirs").mkdir()
        homeless.symlink_to(tmp_path / "theirs")
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        cache_home()
    use_cache_home()
    assert "XDG_CACHE_HOME" not in os.environ


def test_a_user_whom_the_system_does_not_know(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    assert not home_takes(".ray")  # a file
    monkeypatch.setattr(Path, "home", unknown)
    assert not home_takes(".ray")
    assert cache_home() == homeless


_FAULTS = """
import resource
from rssn.storage.machine import keep_freed_memory
if {keep}:
    keep_freed_memory()
b"x" * (96 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * (96 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_memory_is_not_cleared_anew() -> None:
    lost, kept = (
        int(subprocess.run([sys.executable, "-c", _FAULTS.format(keep=keep)], check=True, capture_output=True).stdout)
        for keep in (False, True)
    )
    assert lost >= 96 << 20 >> 16  # pages have at most 64 KiB
    assert kept < 100
