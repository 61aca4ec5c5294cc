from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.objects import Detection
from bg20k.records import Crawl, Record
from bg20k.saliency import Saliency
from bg20k.verdict import FLAGS
from tests.bg20k.test_decide import record

shares = st.floats(0, 1)
records = st.builds(
    Record,
    background_id=st.text("0123456789abcdef", min_size=1, max_size=20),
    source=st.text(max_size=30).filter(lambda text: text.isprintable()),
    source_width=st.integers(1, 2**31 - 1),
    source_height=st.integers(1, 2**31 - 1),
    phash=st.integers(0, 2**64 - 1),
    sharpness=st.floats(0, 1e9),
    low_texture=st.booleans(),
    grey=st.booleans(),
    refused_flag=st.none() | st.tuples(st.sampled_from(FLAGS), shares),
    object_score=st.none() | shares,
    salient=st.none() | st.builds(Detection, st.sampled_from(["cat", "car"]), shares, st.tuples(*[shares] * 4)),
    saliency=st.none() | st.builds(Saliency, shares, shares, shares),
)


@given(st.lists(records, max_size=12))
def test_a_record_comes_back_as_it_went_in(given_records: list[Record]) -> None:
    crawl = Crawl.of(iter(given_records))
    assert len(crawl) == len(given_records)
    assert list(crawl) == given_records
    assert list(crawl.take(np.arange(len(crawl))[::-2])) == given_records[::-2]
    names = {one.background_id for one in given_records[:3]}
    expected = [row for row, one in enumerate(given_records) if one.background_id in names]
    assert crawl.rows_of(names).tolist() == expected


def test_embeddings_are_kept_where_there_are_some() -> None:
    vector = np.array([0.6, 0.8], np.float32)
    one, other = replace(record("a", 1), embedding=vector), record("b", 2)
    crawl = Crawl.of([other, one])
    assert crawl.embedded.tolist() == [False, True]
    assert crawl[0].embedding is None
    assert np.array_equal(crawl[1].embedding, vector)  # type: ignore[arg-type]
    assert not Crawl.of([other]).embedded.any()


def test_a_photograph_takes_little_memory() -> None:
    crawl = Crawl.of(record(f"{number:020x}", number) for number in range(10_000))
    held = crawl.rows.nbytes + crawl.sources.nbytes + crawl.embeddings.nbytes
    assert held / len(crawl) < 200


def test_an_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 20 bytes"):
        Crawl.of([record("x" * 21, 0)])
