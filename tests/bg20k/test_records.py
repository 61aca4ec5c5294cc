from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.objects import Detection
from bg20k.records import PLACES, Crawl, Mark, Record, site_of
from bg20k.rules import CurationRules
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
    site=st.integers(0, 2**64 - 1),
    mark=st.none() | st.builds(Mark, st.integers(3, 2**31 - 1), st.sampled_from(PLACES)),
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


def test_a_source_is_a_host_else_what_the_table_says_else_a_folder() -> None:
    assert (
        site_of("https://a.org/1/x.jpg", None)
        == site_of("https://A.org:443/2/y.jpg", "")
        == site_of("7", "ftp://a.org")
    )
    assert site_of("one/x.jpg", None) == site_of("one/y.jpg", None) == site_of("z", "one")
    different = ["x.jpg", "one/x.jpg", "one/two/x.jpg", "one.zip/x.jpg", "https://b.org/one/x.jpg"]
    assert len({site_of(source, None) for source in different}) == 5
    assert site_of("one/x.jpg", "an archive") == site_of("two/y.jpg", "an archive")
    assert site_of("s3://bucket/one/x.jpg", None) != site_of("s3://bucket/two/x.jpg", None)
    assert site_of("one/x.jpg", "http://[no address/") == site_of("two/y.jpg", "http://[no address/")


def test_a_mark_refuses_where_the_rules_say_so_and_nothing_did_before() -> None:
    photos = [record(name, n) for n, name in enumerate("abcd")]
    photos[1] = replace(photos[1], refused_flag=("panorama", 3.5))
    photos[2] = replace(photos[2], low_texture=True)
    marks = {row: Mark(4, "lower right") for row in (0, 1, 2)}
    for flags, expected in (
        ((), [None, ("panorama", 3.5), None, None]),
        (("shared_mark",), [("shared_mark", 4.0), ("panorama", 3.5), None, None]),
    ):
        crawl = Crawl.of(photos).marked(marks, CurationRules(refused_flags=flags))
        assert [one.refused_flag for one in crawl] == expected
        assert [one.mark for one in crawl] == [*[Mark(4, "lower right")] * 3, None]
    rare = CurationRules(refused_flags=("shared_mark",), thresholds={"shared_mark": 5.0})
    assert Crawl.of(photos).marked(marks, rare)[0].refused_flag is None
