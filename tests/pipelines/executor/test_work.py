from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.executor.runner import Done, LocalRunner, Outcome
from pipelines.executor.work import ErrorBudget, Work, parse_budget, refusal, run_tasks
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_PHOTOS
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.dataset.verify import Shards, verify
from rssn.errors import InputError, Rejected


@dataclass(frozen=True)
class Task:
    """Writes `size - refused` rows and refuses `refused`."""

    root: Path
    name: str
    size: int = 4
    refused: int = 0
    broken: bool = False
    memory: int = 0
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        return DatasetFolder(self.root).current_item(self.name)


def write(task: Task) -> Done:
    if task.broken:
        raise OSError("the disk is full")
    rows = [{"source": f"{task.name}-{n}", "path": ""} for n in range(task.size - task.refused)]
    rejects = [refusal(Rejected("read", "empty", "no bytes"), str(n), str(n)) for n in range(task.refused)]
    return Done(write_shard(DatasetFolder(task.root), task.name, PLANNED_PHOTOS, rows, rejects))


def tasks(root: Path, count: int, **kind: int | bool) -> list[Task]:
    return [Task(root, shard_name("photos", index, count), **kind) for index in range(count)]


def work(root: Path, what: Sequence[Task], budget: ErrorBudget | None = None) -> Work[Task]:
    return Work(DatasetFolder(root), what, write, "photos", budget or ErrorBudget(), 0)


class Recorder(LocalRunner):
    """The local runner, noting which tasks it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def run(self, function, given, on_wait) -> Iterator[Outcome[Task]]:  # type: ignore[no-untyped-def]
        self.given += [task.name for task in given]
        return super().run(function, given, on_wait)


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    first = run_tasks(work(tmp_path, tasks(tmp_path, 3)), LocalRunner())
    assert (first.written, first.reused) == (12, 0)
    again = Recorder()
    second = run_tasks(work(tmp_path, tasks(tmp_path, 3)), again)
    assert (second.written, second.reused, again.given) == (0, 12, [])


def test_while_tasks_run_nothing_is_held_of_what_was_there(tmp_path: Path) -> None:
    """Of a shard that is done its name is: of one without rows nothing."""
    given = [*tasks(tmp_path, 3), Task(tmp_path, "none-00000-of-00001", refused=4)]
    run_tasks(work(tmp_path, given[:2]), LocalRunner())
    shards = Shards.of(DatasetFolder(tmp_path))
    held: list[int] = []

    def watched(task: Task) -> Done:
        held.append(len(shards.marks) + len(shards.found))
        return write(task)

    summary = run_tasks(replace(work(tmp_path, given), function=watched, shards=shards), LocalRunner())
    assert held == [0, 0]
    assert summary.shards == [task.name for task in given[:3]]
    assert (summary.written, summary.reused, summary.rejected) == (4, 8, 4)


@pytest.mark.parametrize("damage", ["truncate", "alter", "delete"])
def test_a_damaged_shard_is_made_again_and_named(tmp_path: Path, damage: str) -> None:
    run_tasks(work(tmp_path, tasks(tmp_path, 3)), LocalRunner())
    path = DatasetFolder(tmp_path).data("photos-00001-of-00003")
    whole = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] if damage == "truncate" else whole[:20] + b"\0" + whole[21:])
    again = Recorder()
    summary = run_tasks(work(tmp_path, tasks(tmp_path, 3)), again)
    assert again.given == summary.damaged == ["photos-00001-of-00003"]
    assert path.read_bytes() == whole


def test_rejects_are_counted_when_they_are_reused_too(tmp_path: Path) -> None:
    run_tasks(work(tmp_path, tasks(tmp_path, 2, refused=1)), LocalRunner())
    summary = run_tasks(work(tmp_path, tasks(tmp_path, 2, refused=1)), LocalRunner())
    assert (summary.reused, summary.rejected) == (6, 2)


def test_a_failed_task_is_a_row_until_it_succeeds(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    mixed = [*tasks(tmp_path, 2), Task(tmp_path, "broken", broken=True)]
    summary = run_tasks(work(tmp_path, mixed), LocalRunner())
    assert summary.failed == ["broken: OSError: the disk is full"]
    assert (summary.written, summary.lost, folder.failures()) == (8, 4, ["broken"])
    (row,) = iter_rows(folder.failure("broken"))
    assert (row["item_id"], row["stage"], row["reason"], row["message"]) == (
        "broken", "run", "error", "OSError: the disk is full",
    )  # fmt: skip
    assert not folder.mark("broken").exists()
    found = verify(folder)
    assert found.missing == ["broken: not made, see its row in rejects/; run the same command again to retry"]
    assert found.rejects == [folder.failure("broken")]
    again = run_tasks(work(tmp_path, [replace(task, broken=False) for task in mixed]), LocalRunner())
    assert (again.written, again.reused, again.failed) == (4, 8, [])
    assert list((tmp_path / "rejects").iterdir()) == []
    assert verify(folder).problems == []


def test_a_failed_retry_leaves_the_shard_as_it_stands(tmp_path: Path) -> None:
    """The shard's own rejects are what its mark vouches for: the failure has a file of its own, and goes."""
    folder = DatasetFolder(tmp_path)
    run_tasks(work(tmp_path, tasks(tmp_path, 1, refused=1)), LocalRunner())
    name = "photos-00000-of-00001"
    before = folder.rejects_path(name).read_bytes()
    retry = replace(work(tmp_path, tasks(tmp_path, 1, broken=True)), redo=frozenset({name}))
    assert run_tasks(retry, LocalRunner()).failed == [f"{name}: OSError: the disk is full"]
    assert folder.rejects_path(name).read_bytes() == before
    assert verify(folder).problems == []
    assert {row["item_id"] for path in verify(folder).rejects for row in iter_rows(path)} == {"0", name}
    summary = run_tasks(work(tmp_path, tasks(tmp_path, 1, refused=1)), LocalRunner())
    assert (summary.reused, summary.rejected, folder.failures()) == (3, 1, [])


def test_shards_that_fail_spend_the_budget_too(tmp_path: Path) -> None:
    given = Recorder()
    words = "0 refused and 8 lost with 2 shards that failed of 40 photos, more than --max-errors allows"
    with pytest.raises(InputError, match=words):
        run_tasks(work(tmp_path, tasks(tmp_path, 10, broken=True), ErrorBudget(share=0.1)), given)
    assert len(DatasetFolder(tmp_path).failures()) == 2


def test_the_budget_stops_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    given = Recorder()
    with pytest.raises(InputError, match="3 refused of 40 photos, more than --max-errors allows"):
        run_tasks(work(tmp_path, tasks(tmp_path, 10, refused=1), ErrorBudget(count=2)), given)
    assert len(DatasetFolder(tmp_path).marks()) == 3


@pytest.mark.parametrize(
    ("text", "rejected", "spent"),
    [("2", 2, False), ("2", 3, True), ("5%", 5, False), ("5%", 6, True), (None, 99, False)],
)
def test_budgets(text: str | None, rejected: int, spent: bool) -> None:
    assert parse_budget(text).exceeded(rejected, rejected, 100) is spent


@pytest.mark.parametrize("text", ["few", "101%", "-5", "nan%", "inf%", "-1%", "1.5", "%", ""])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=rf"--max-errors is '{text}'; give a count such as 20 or a share such as 1%"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 5000 + "%"])
def test_a_budget_of_absurd_length_is_refused_briefly(text: str) -> None:
    with pytest.raises(InputError, match=r"^--max-errors is .{,110}; give a count such as 20 or a share such as 1%$"):
        parse_budget(text)


def test_a_budget_that_is_spent_before_the_work_stops_at_once(tmp_path: Path) -> None:
    given = Recorder()
    job = Work(DatasetFolder(tmp_path), tasks(tmp_path, 2), write, "photos", ErrorBudget(count=2), 3)
    with pytest.raises(
        InputError, match="3 refused of 8 photos, more than --max-errors allows; 0 photos written, 0 reused"
    ):
        run_tasks(job, given)
    assert given.given == []


@pytest.mark.parametrize(("share", "spent"), [(0.1, True), (0.5, False)])
def test_a_share_counts_what_a_refused_input_would_have_given(tmp_path: Path, share: float, spent: bool) -> None:
    """Two of four inputs are refused, and each would have given four photos: half of what was asked."""
    job = Work(DatasetFolder(tmp_path), tasks(tmp_path, 2), write, "photos", ErrorBudget(share=share), 2, 4)
    if spent:
        with pytest.raises(InputError, match="2 refused of 8 photos, more than --max-errors allows"):
            run_tasks(job, Recorder())
    else:
        assert run_tasks(job, Recorder()).written == 8


def test_an_error_that_nobody_foresaw_becomes_a_row() -> None:
    row = refusal(ValueError("strange"), "abc/0", "a.jpg")
    assert (row["stage"], row["reason"], row["message"]) == ("run", "error", "ValueError: strange")


def test_progress_counts_items_of_tasks_at_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DatasetFolder(tmp_path)
    task = Task(tmp_path, "photos-00000-of-00001", size=10)

    class Halfway(LocalRunner):
        def run(self, function, given, on_wait) -> Iterator[Outcome[Task]]:  # type: ignore[no-untyped-def]
            folder.progress(task.name).parent.mkdir(parents=True)
            folder.progress(task.name).write_text("7")
            assert folder.in_progress() == {task.name: 7}
            on_wait()
            assert capsys.readouterr().err.startswith("7 of 10 photos (70 %), 0 MB, 0 rejected")
            yield from super().run(function, given, on_wait)

    seen: list[int] = []

    def look(task: Task) -> Done:
        rows = ({"source": seen.append(sum(folder.in_progress().values())) or "", "path": ""} for _ in range(task.size))
        return Done(write_shard(folder, task.name, PLANNED_PHOTOS, rows, []))

    run_tasks(Work(folder, [task], look, "photos", ErrorBudget(), 0), Halfway())
    assert seen == [7, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert folder.in_progress() == {}
    assert capsys.readouterr().err.startswith("10 of 10 photos (100 %), ")
