from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bg20k.duplicates import FingerprintColumns, find_duplicates

Photo = tuple[str, str, int, float, int, bool]  # id, source, area, sharpness, phash, flat


def columns(
    photos: list[Photo],
    fixed: list[bool] | None = None,
    grey: list[bool] | None = None,
    cropped: list[bool] | None = None,
    bits: list[float] | None = None,
) -> FingerprintColumns:
    ids, sources, areas, sharpness, phashes, flat = zip(*photos, strict=True) if photos else [()] * 6
    return FingerprintColumns(
        ids=np.array(ids, np.str_),
        sources=np.array(sources, np.str_),
        grey=np.zeros(len(photos), np.bool_) if grey is None else np.array(grey, np.bool_),
        areas=np.array(areas, np.int64),
        cropped=np.zeros(len(photos), np.bool_) if cropped is None else np.array(cropped, np.bool_),
        bits_per_pixel=np.ones(len(photos)) if bits is None else np.array(bits, np.float64),
        sharpness=np.array(sharpness, np.float64),
        phashes=np.array(phashes, np.uint64),
        low_texture=np.array(flat, np.bool_),
        fixed=np.zeros(len(photos), np.bool_) if fixed is None else np.array(fixed, np.bool_),
    )


def keepers(photos: list[Photo], distance: int) -> dict[str, str]:
    """Source -> source of its keeper."""
    found = find_duplicates(columns(photos), distance)
    return {photo[1]: photos[keeper][1] for photo, keeper in zip(photos, found, strict=True)}


def linked(a: Photo, b: Photo, distance: int) -> bool:
    near = not a[5] and not b[5] and (a[4] ^ b[4]).bit_count() <= distance
    return a[0] == b[0] or near


def keepers_by_clusters(photos: list[Photo], distance: int) -> dict[str, str]:
    """The slow definition: cluster by single link, verify against the best, cluster the rest again."""
    result = {}
    rest = sorted(photos, key=lambda p: (-p[2], -p[3], p[0], p[1]))
    while rest:
        cluster, grown = [rest[0]], True
        while grown:
            more = [p for p in rest if p not in cluster and any(linked(p, q, distance) for q in cluster)]
            cluster, grown = cluster + more, bool(more)
        best = rest[0]
        close = [p for p in cluster if linked(p, best, distance)]
        result.update({p[1]: best[1] for p in close})
        rest = [p for p in rest if p not in close]
    return result


@st.composite
def crawls(draw: st.DrawFn) -> list[Photo]:
    """Few bits, areas and ids, so that equal bytes, ties, chains and flat pictures are common."""
    bits = draw(st.lists(st.integers(0, 63), min_size=6, max_size=6, unique=True))
    distinct = draw(
        st.lists(
            st.tuples(
                st.integers(1, 3),
                st.sampled_from([0.0, 1.5]),
                st.lists(st.sampled_from(bits)),
                st.booleans(),
                st.booleans(),
            ),
            max_size=14,
        )
    )
    files = [
        (f"id{n}", area, sharpness, sum(1 << bit for bit in set(ones)), one and two)
        for n, (area, sharpness, ones, one, two) in enumerate(distinct)
    ]
    copies = draw(st.lists(st.sampled_from(files), max_size=5)) if files else []
    photos = [(name, f"s{n}", *rest) for n, (name, *rest) in enumerate(files + copies)]
    return draw(st.permutations(photos))


@pytest.mark.slow
@given(crawls(), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_equals_the_slow_definition_in_any_order(photos: list[Photo], distance: int) -> None:
    assert keepers(photos, distance) == keepers_by_clusters(photos, distance)


def test_a_chain_does_not_merge_strangers() -> None:
    chain = [0b0, 0b111, 0b111111, 0b111111111]
    photos: list[Photo] = [(f"id{n}", f"s{n}", 100 - n, 1.0, value, False) for n, value in enumerate(chain)]
    assert keepers(photos, 3) == {"s0": "s0", "s1": "s0", "s2": "s2", "s3": "s2"}


def test_the_largest_then_the_sharpest_then_the_smallest_id_is_kept() -> None:
    large: Photo = ("c", "c", 9, 1.0, 0, False)
    sharp: Photo = ("d", "d", 4, 7.0, 1, False)
    soft: Photo = ("a", "a", 4, 2.0, 3, False)
    twin: Photo = ("b", "b", 4, 2.0, 2, False)
    assert set(keepers([twin, soft, sharp, large], 6).values()) == {"c"}
    assert set(keepers([twin, soft, sharp], 6).values()) == {"d"}
    assert set(keepers([twin, soft], 6).values()) == {"a"}


def test_flat_pictures_are_duplicates_by_their_bytes_only() -> None:
    photos: list[Photo] = [
        ("sky", "1", 4, 0.0, 5, True),
        ("wall", "2", 4, 0.0, 5, True),
        ("tree", "3", 4, 9.0, 5, False),
        ("sky", "0", 4, 0.0, 5, True),
    ]
    assert keepers(photos, 6) == {"1": "0", "2": "2", "3": "3", "0": "0"}


def test_colours_rank_before_size_and_what_stands_before_colours() -> None:
    photos: list[Photo] = [("large", "1", 9, 9.0, 5, False), ("coloured", "2", 4, 1.0, 5, False)]
    assert find_duplicates(columns(photos, grey=[True, False]), 6).tolist() == [1, 1]
    assert find_duplicates(columns(photos, grey=[True, True]), 6).tolist() == [0, 0]
    assert find_duplicates(columns(photos, fixed=[True, False], grey=[True, False]), 6).tolist() == [0, 0]


def test_of_one_size_the_uncropped_the_less_compressed_and_the_sharper_one_is_kept_in_this_order() -> None:
    photos: list[Photo] = [("a", "1", 9, 9.0, 5, False), ("b", "2", 9, 1.0, 5, False)]
    assert find_duplicates(columns(photos), 6).tolist() == [0, 0]
    assert find_duplicates(columns(photos, bits=[1.0, 2.0]), 6).tolist() == [1, 1]
    assert find_duplicates(columns(photos, bits=[1.0, 2.0], cropped=[False, True]), 6).tolist() == [0, 0]


def test_no_photographs() -> None:
    assert find_duplicates(columns([]), 6).shape == (0,)
