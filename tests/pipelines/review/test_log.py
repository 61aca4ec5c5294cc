from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.review import Choice, Decision
from pipelines.review import log as review_log
from pipelines.review.log import LogError, NewDecision, ReviewLog, read_decisions, review_path
from rssn.errors import InputError

ONE, TWO = "one-window", "another-window"


def test_the_last_decision_holds(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    log.decide([NewDecision("b.jpg", None, "reject"), NewDecision("a.jpg", "a", "reject")], ONE)
    assert log.current() == {"a.jpg": Decision("reject", "a"), "b.jpg": Decision("reject", None)}
    assert read_decisions(tmp_path) == log.current()


def test_undo_takes_back_whole_steps_one_after_the_other_and_loses_nothing(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    log.decide([NewDecision("a.jpg", "a", "reject"), NewDecision("b.jpg", "b", "reject")], ONE)
    assert log.undo(ONE) == ["a.jpg", "b.jpg"]
    assert log.current() == {"a.jpg": Decision("keep", "a")}
    log.decide([NewDecision("c.jpg", "c", "keep")], ONE)
    assert log.undo(ONE) == ["c.jpg"]
    assert log.undo(ONE) == ["a.jpg"]
    assert log.current() == {}
    assert log.undo(ONE) == []
    rows = sqlite3.connect(review_path(tmp_path)).execute(
        "SELECT step, source, verdict, previous, undoes FROM decisions"
    )
    assert rows.fetchall() == [
        (1, "a.jpg", "keep", None, None),
        (2, "a.jpg", "reject", "keep", None),
        (2, "b.jpg", "reject", None, None),
        (3, "a.jpg", "keep", "reject", 2),
        (3, "b.jpg", None, "reject", 2),
        (4, "c.jpg", "keep", None, None),
        (5, "c.jpg", None, "keep", 4),
        (6, "a.jpg", None, "keep", 1),
    ]


windows = st.sampled_from([ONE, TWO])
choices = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["keep", "reject"]), min_size=1, max_size=3)


@given(st.lists(st.tuples(windows, st.none() | choices), max_size=14))
def test_any_run_of_decisions_and_undos_is_a_stack_for_each_window(
    run: list[tuple[str, dict[str, Choice] | None]],
) -> None:
    """A step can be taken back as long as no later one, of whatever window, holds any of its photographs."""
    log = ReviewLog(Path(":memory:"))
    steps: list[tuple[str, dict[str, Choice], bool]] = []  # those that hold: window, choices, whether undo refused it
    for window, step in run:
        own = [place for place, (whose, _, refused) in enumerate(steps) if whose == window and not refused]
        if step is not None:
            log.decide([NewDecision(source, source, choice) for source, choice in step.items()], window)
            steps.append((window, step, False))
        elif not own:
            assert log.undo(window) == []
        elif any(steps[own[-1]][1].keys() & later.keys() for _, later, _ in steps[own[-1] + 1 :]):
            with pytest.raises(InputError, match="was decided again in another window since; that decision stays"):
                log.undo(window)
            steps[own[-1]] = (window, steps[own[-1]][1], True)
        else:
            assert log.undo(window) == list(steps.pop(own[-1])[1])
        held = {source: Decision(choice, source) for _, made, _ in steps for source, choice in made.items()}
        assert log.current() == held
    log.close()


def test_undo_brings_back_a_decision_with_the_bytes_that_it_was_about(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "old bytes", "keep")], ONE)
    log.decide([NewDecision("a.jpg", "new bytes", "reject")], ONE)
    log.undo(ONE)
    assert log.current() == {"a.jpg": Decision("keep", "old bytes")}


def test_what_is_confirmed_as_it_is_spares_what_was_decided_meanwhile(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "reject"), NewDecision("b.jpg", "old bytes", "reject")], TWO)
    log.decide([NewDecision(name, name[0], "keep") for name in ("a.jpg", "b.jpg", "c.jpg")], ONE, only_undecided=True)
    assert {name: one.choice for name, one in log.current().items()} == {
        "a.jpg": "reject", "b.jpg": "keep", "c.jpg": "keep"
    }  # fmt: skip


def test_a_step_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    with pytest.raises(InputError, match="cannot be read or written"):
        log.decide([NewDecision("a.jpg", "a", "keep"), NewDecision("b.jpg", "b", "maybe")], ONE)  # type: ignore[arg-type]
    assert log.current() == {}


def test_two_reviews_of_one_set_see_each_other(tmp_path: Path) -> None:
    one, other = ReviewLog(review_path(tmp_path)), ReviewLog(review_path(tmp_path))
    one.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    other.decide([NewDecision("b.jpg", "b", "reject")], TWO)
    assert one.current() == other.current() == {"a.jpg": Decision("keep", "a"), "b.jpg": Decision("reject", "b")}


def version_1(path: Path) -> None:
    """A log as rssn wrote it before windows had steps of their own."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE decisions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, source TEXT NOT NULL,"
            " background_id TEXT, verdict TEXT, previous TEXT, undoes INTEGER, time TEXT NOT NULL)"
        )
        database.execute("INSERT INTO decisions VALUES (1, 1, 'a.jpg', 'a', 'keep', NULL, NULL, '2026')")
        database.execute("PRAGMA user_version = 1")


def test_decisions_of_an_earlier_version_hold(tmp_path: Path) -> None:
    version_1(review_path(tmp_path))
    before = review_path(tmp_path).read_bytes()
    assert read_decisions(tmp_path) == {"a.jpg": Decision("keep", "a")}
    assert review_path(tmp_path).read_bytes() == before
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("b.jpg", "b", "reject")], ONE)
    assert log.undo(ONE) == ["b.jpg"]
    assert log.undo(ONE) == []
    assert read_decisions(tmp_path) == {"a.jpg": Decision("keep", "a")}


def test_what_a_model_decided_is_told_from_what_a_person_did(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    log.decide([NewDecision(name, name[0], "reject", "model") for name in ("a.jpg", "b.jpg", "c.jpg")], ONE)
    assert {name: (one.choice, one.by) for name, one in log.current().items()} == dict.fromkeys(
        ("a.jpg", "b.jpg", "c.jpg"), ("reject", "model")
    )
    log.decide([NewDecision("b.jpg", "b", "keep")], TWO)
    assert log.undo(TWO) == ["b.jpg"]
    assert log.current()["b.jpg"] == Decision("reject", "b", "model")
    assert log.undo(ONE) == ["a.jpg", "b.jpg", "c.jpg"]
    assert log.current() == {"a.jpg": Decision("keep", "a")}


def delete(path: Path) -> str:
    path.unlink()
    return "was deleted"


def replace(path: Path) -> str:
    with closing(sqlite3.connect(path.with_suffix(".new"))) as database:
        database.execute("CREATE TABLE other (a)")
    path.with_suffix(".new").replace(path)
    return "was replaced"


@pytest.mark.parametrize("lose", [delete, replace])
def test_a_file_that_is_lost_under_way_is_said_and_its_decisions_are_saved(
    lose: Callable[[Path], str], tmp_path: Path
) -> None:
    log = ReviewLog(path := review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep"), NewDecision("b.jpg", "b", "reject")], ONE)
    happened = lose(path)
    left = path.exists() and path.read_bytes()
    words = (
        rf"review\.sqlite: {happened} during the review, so nothing is stored any more\. Its 2 decisions were saved to "
    )
    for ask in (log.current, lambda: log.decide([NewDecision("c.jpg", "c", "keep")], ONE), lambda: log.undo(ONE)):
        with pytest.raises(LogError, match=words):
            ask()
    assert (path.exists() and path.read_bytes()) == left
    (saved,) = set(tmp_path.glob("review-*.sqlite"))
    saved.rename(path)
    assert read_decisions(tmp_path) == {"a.jpg": Decision("keep", "a"), "b.jpg": Decision("reject", "b")}
    ReviewLog(path).decide([NewDecision("c.jpg", "c", "keep")], ONE)


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    log = ReviewLog(review_path(tmp_path / "set"))
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(
        LogError, match="was deleted during the review, and its decisions are lost: unable to open database"
    ):
        log.decide([NewDecision("a.jpg", "a", "keep")], ONE)


def test_a_file_that_was_overwritten_in_its_place_is_said(tmp_path: Path) -> None:
    log = ReviewLog(path := review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    earlier = path.read_bytes()
    log.decide([NewDecision("b.jpg", "b", "keep")], ONE)
    log.current()
    path.write_bytes(earlier)
    with pytest.raises(LogError, match="holds 1 of the 2 rows that were stored: its content was replaced meanwhile"):
        log.decide([NewDecision("c.jpg", "c", "keep")], ONE)
    assert path.read_bytes() == earlier


def test_a_lock_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_log, "_LOCKED_SECONDS", 0.1)
    log = ReviewLog(review_path(tmp_path))
    with closing(sqlite3.connect(review_path(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for ask in (
            lambda: log.decide([NewDecision("a.jpg", "a", "keep")], ONE),
            log.current,
            lambda: read_decisions(tmp_path),
        ):
            with pytest.raises(LogError, match=r"review\.sqlite: .*locked; another program is using it: close that"):
                ask()
        other.execute("ROLLBACK")
    assert log.current() == {}
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    assert read_decisions(tmp_path) == {"a.jpg": Decision("keep", "a")}


def test_a_review_that_was_killed_half_way_is_taken_back_by_whoever_reads(tmp_path: Path) -> None:
    """A journal that is left over says what to take back."""
    log = ReviewLog(path := review_path(tmp_path))
    log.decide([NewDecision("a.jpg", "a", "keep")], ONE)
    with closing(sqlite3.connect(path, isolation_level=None)) as killed:
        killed.execute("PRAGMA cache_size = 1")
        killed.execute("BEGIN")
        for number in range(300):  # more than the cache holds, so that it reaches the file before the end
            row = (number + 10, f"{number}.jpg" * 50)
            killed.execute("INSERT INTO decisions VALUES (?, 2, ?, NULL, 'reject', NULL, NULL, '', '', NULL)", row)
        half = tmp_path / "half"
        half.mkdir()
        for file in tmp_path.glob("review.sqlite*"):
            shutil.copy(file, half / file.name)
    assert {file.name for file in half.iterdir()} == {"review.sqlite", "review.sqlite-journal"}
    assert read_decisions(half) == {"a.jpg": Decision("keep", "a")}


def test_what_is_no_log_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    path = review_path(tmp_path)
    with pytest.raises(InputError, match=r"review\.sqlite: no decisions yet; make some with rssn review"):
        read_decisions(tmp_path)
    path.touch()
    with pytest.raises(InputError, match=r"review\.sqlite: empty; make decisions with rssn review"):
        read_decisions(tmp_path)
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    refused(path, "the decisions cannot be read or written: file is not a database; restore a copy of it, or move it")
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    refused(path, "not written by this version of rssn; move it away")
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE of_another_program (a)")
    refused(path, "not written by this version of rssn; move it away")
    path.unlink()
    path.mkdir()
    with pytest.raises(LogError, match=r"review\.sqlite: not a file; move it away"):
        ReviewLog(path)


def refused(path: Path, words: str) -> None:
    before = path.read_bytes()
    for read in (lambda: ReviewLog(path), lambda: read_decisions(path.parent)):
        with pytest.raises(LogError, match=rf"review\.sqlite: {words}") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_damage_is_refused_by_name_or_changes_no_decision(tmp_path: Path) -> None:
    """Zeros, random bytes and single bits, anywhere in the file, and cuts."""
    log = ReviewLog(path := review_path(tmp_path))
    for number in range(60):
        log.decide([NewDecision(f"{number}.jpg", f"id{number}", "keep" if number % 3 else "reject")], ONE)
    whole = {name: one.choice for name, one in log.current().items()}
    log.close()
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    found: Counter[str] = Counter()
    for number in range(300):
        damaged = bytearray(content)
        place = int(rng.integers(len(content)))
        if number % 3 == 0:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif number % 3 == 1:
            damaged[place : place + 64] = rng.bytes(len(damaged[place : place + 64]))
        else:
            del damaged[place:]
        path.write_bytes(damaged)
        said = ""
        try:
            assert {name: one.choice for name, one in read_decisions(tmp_path).items()} == whole
        except InputError as error:
            said = str(error)
        assert said == "" or (said.startswith(f"{path}: ") and "\n" not in said)
        assert path.read_bytes() == damaged
        found["refused" if said else "same"] += 1
    assert found["refused"] > 100, found  # the rest hit bytes that nothing uses
