from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.review import Decision
from pipelines.review_log import Made, ReviewLog, read_decisions, review_path
from rssn.errors import InputError


def test_the_last_decision_holds(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([Made("a.jpg", "a", "keep")])
    log.decide([Made("b.jpg", None, "reject"), Made("a.jpg", "a", "reject")])
    assert log.current() == {"a.jpg": Decision("reject", "a"), "b.jpg": Decision("reject", None)}
    assert read_decisions(tmp_path) == log.current()


def test_undo_takes_back_whole_steps_one_after_the_other_and_loses_nothing(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    log.decide([Made("a.jpg", "a", "keep")])
    log.decide([Made("a.jpg", "a", "reject"), Made("b.jpg", "b", "reject")])
    assert log.undo() == ["a.jpg", "b.jpg"]
    assert log.current() == {"a.jpg": Decision("keep", "a")}
    log.decide([Made("c.jpg", "c", "keep")])
    assert log.undo() == ["c.jpg"]
    assert log.undo() == ["a.jpg"]
    assert log.current() == {}
    assert log.undo() == []
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


steps = st.lists(
    st.one_of(
        st.none(),
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(["keep", "reject"]), min_size=1, max_size=3),
    ),
    max_size=12,
)


@given(steps)
def test_any_run_of_decisions_and_undos_is_a_stack(run: list[dict[str, str] | None]) -> None:
    log = ReviewLog(Path(":memory:"))
    stack: list[dict[str, Decision]] = [{}]
    for step in run:
        if step is None:
            log.undo()
            stack = stack[:-1] or [{}]
        else:
            log.decide([Made(source, source, choice) for source, choice in step.items()])  # type: ignore[arg-type]
            stack.append(stack[-1] | {source: Decision(choice, source) for source, choice in step.items()})  # type: ignore[arg-type]
        assert log.current() == stack[-1]
    log.close()


def test_a_step_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    log = ReviewLog(review_path(tmp_path))
    with pytest.raises(InputError, match="cannot be read or written"):
        log.decide([Made("a.jpg", "a", "keep"), Made("b.jpg", "b", "maybe")])  # type: ignore[arg-type]
    assert log.current() == {}


def test_two_reviews_of_one_set_see_each_other(tmp_path: Path) -> None:
    one, other = ReviewLog(review_path(tmp_path)), ReviewLog(review_path(tmp_path))
    one.decide([Made("a.jpg", "a", "keep")])
    other.decide([Made("b.jpg", "b", "reject")])
    assert one.current() == other.current() == {"a.jpg": Decision("keep", "a"), "b.jpg": Decision("reject", "b")}


def test_what_is_no_log_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"review\.sqlite: no decisions here; make some with rssn review"):
        read_decisions(tmp_path)
    review_path(tmp_path).write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(InputError, match=r"review\.sqlite: the decisions cannot be read or written: file is not"):
        read_decisions(tmp_path)
    review_path(tmp_path).unlink()
    sqlite3.connect(review_path(tmp_path)).execute("PRAGMA user_version = 9")
    with pytest.raises(InputError, match="another version"):
        read_decisions(tmp_path)
