from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bg20k.measures import hash_picture
from bg20k.rules import CurationRules
from bg20k.schema import CANDIDATES, VERDICTS
from bg20k.verdict import SALIENT_OBJECT
from pipelines.curate.rows import candidates_folder, verdicts_path
from pipelines.executor.runner import LocalRunner
from pipelines.study import leaks
from pipelines.study.execute import make_steps
from pipelines.study.leaks import LeakCache, check_backgrounds, check_foregrounds, check_sets
from pipelines.study.load import parse_study
from pipelines.study.schema import Study
from pipelines.study.steps import Step, input_fingerprint
from rssn.dataset.schema import COMPOSITES, picture
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.errors import InputError, RemoteError
from rssn.image.arrays import Pixels, encode_jpeg, encode_png, resize_area
from rssn.storage.files import content_id, write_parquet
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store
from tests.pipelines.study.test_load import TEXT


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Pixels:
    coarse = np.random.default_rng(seed).uniform(0, 255, (7, 9, 3))
    return np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def matte(seed: int) -> Pixels:
    """A blob of soft edges, elsewhere and otherwise turned for each seed."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((120, 160), np.uint8)
    for _ in range(3):
        centre, axes = rng.integers(30, (130, 90)).tolist(), rng.integers(8, 40, 2).tolist()
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(mask, (5, 5), 0), dtype=np.uint8)


def write(root: Path, name: str, data: bytes, mask: Pixels, sides: tuple[str, str] = ("original", "mask")) -> Path:
    """A photograph and its matte, as AM-2k lays them; returns the photograph's path."""
    for folder in sides:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / sides[0] / name).write_bytes(data)
    (root / sides[1] / f"{Path(name).stem}.png").write_bytes(encode_png(mask))
    return root / sides[0] / name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(3):
        write(tmp_path / "matting", f"train{seed}.png", encode_png(scene(seed)), matte(seed))
        write(tmp_path / "eval", f"judged{seed}.png", encode_png(scene(10 + seed)), matte(10 + seed))
    return tmp_path


@pytest.fixture
def study(data: Path) -> Study:
    return parse_study(TEXT, "mine", [f"data={data}"])


def test_strangers_may_stand_beside_each_other(study: Study, data: Path) -> None:
    check_foregrounds(study, LeakCache(None))
    check_backgrounds(study, [data / "matting" / "original"], LeakCache(None))


def test_the_same_photograph_is_refused_and_both_are_named(study: Study, data: Path) -> None:
    write(data / "matting", "copy.png", encode_png(scene(11)), matte(3))
    words = "foreground of .*matting is in the evaluation set.*: .*matting/original/copy.png is .*judged1.png$"
    with pytest.raises(InputError, match=words):
        check_foregrounds(study, LeakCache(None))


def test_a_photograph_that_was_encoded_again_is_refused(study: Study, data: Path) -> None:
    smaller = resize_area(scene(12), 120, 90)
    (data / "photos").mkdir()
    (data / "photos" / "again.jpg").write_bytes(encode_jpeg(smaller, 80))
    (data / "photos" / "other.jpg").write_bytes(encode_jpeg(scene(20), 80))
    with pytest.raises(InputError, match=r"background of .*photos is in .*: again.jpg is .*judged2.png$"):
        check_backgrounds(study, [data / "photos"], LeakCache(None))


def test_a_mirrored_photograph_is_refused(study: Study, data: Path) -> None:
    (data / "photos").mkdir()
    (data / "photos" / "mirrored.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(scene(12)[:, ::-1]), 80))
    with pytest.raises(InputError, match=r"photos is in .*: mirrored.jpg is .*judged2.png$"):
        check_backgrounds(study, [data / "photos"], LeakCache(None))


def test_flat_pictures_leak_by_their_bytes_alone(study: Study, data: Path) -> None:
    grey = write(data / "matting", "grey.png", encode_png(np.full((120, 160, 3), 90, np.uint8)), matte(3))
    write(data / "eval", "flat.png", encode_png(np.full((60, 80, 3), 90, np.uint8)), matte(13))
    check_foregrounds(study, LeakCache(None))
    input_fingerprint.cache_clear()
    write(data / "eval", "flat.png", grey.read_bytes(), matte(13))
    with pytest.raises(InputError, match=r"grey.png is .*flat.png"):
        check_foregrounds(study, LeakCache(None))


def test_a_matte_is_refused_under_other_colours(study: Study, data: Path) -> None:
    """What is left of a photograph in a set of `fg/` and `alpha/`: the colours are others, the matte is the same."""
    known = np.where(matte(11)[..., None] > 0, scene(11), 0).astype(np.uint8)
    write(data / "cut", "a.png", encode_png(known), matte(11), ("fg", "alpha"))
    with pytest.raises(InputError, match=r"foreground of .*cut is .*: .*cut/alpha/a.png is .*/mask/judged1.png$"):
        check_foregrounds(replace(study, foregrounds=(str(data / "cut"),)), LeakCache(None))


def test_a_matte_is_refused_as_a_channel_of_a_cutout_half_as_large_and_mirrored(study: Study, data: Path) -> None:
    small = resize_area(matte(12), 80, 60)[:, ::-1]
    (data / "cut").mkdir()
    (data / "cut" / "a.png").write_bytes(encode_png(np.dstack([scene(30, (80, 60)), small])))
    with pytest.raises(InputError, match=r": .*cut/a.png is .*eval/mask/judged2.png$"):
        check_foregrounds(replace(study, foregrounds=(str(data / "cut"),)), LeakCache(None))


def test_mattes_of_one_pose_are_not_the_same(study: Study, data: Path) -> None:
    """Discs in the middle: their perceptual hashes are near each other."""
    discs = [cv2.circle(np.zeros((120, 160), np.uint8), (80, 60), radius, 255, -1) for radius in (40, 43)]
    hashes = [hash_picture(np.asarray(disc, np.uint8), CurationRules())[0] for disc in discs]
    assert (hashes[0] ^ hashes[1]).bit_count() <= CurationRules().phash_distance
    write(data / "matting", "disc.png", encode_png(scene(3)), np.asarray(discs[0]))
    write(data / "eval", "disc.png", encode_png(scene(13)), np.asarray(discs[1]))
    check_foregrounds(study, LeakCache(None))


def test_mattes_are_compared_with_mattes_and_only_where_they_matte(study: Study, data: Path) -> None:
    write(data / "matting", "matte.png", encode_png(matte(11)), np.full((120, 160), 255, np.uint8))
    write(data / "eval", "all.png", encode_png(scene(13)), np.full((120, 160), 255, np.uint8))
    check_foregrounds(study, LeakCache(None))


def pack(folder: Path, seed: int) -> None:
    """A shard of one photograph, as `rssn pack` writes them."""
    row = {
        "sample_id": f"{seed:020x}/0",
        "image": picture(encode_png(scene(seed)), "a.png"),
        "alpha": picture(encode_png(matte(seed)), "a-alpha.png"),
        "foreground_source": f"original/{seed}.png",
    }
    write_shard(DatasetFolder(folder), "photographs-00000-of-00001", COMPOSITES, [row], [])
    DatasetFolder(folder).manifest_path.write_text('{"plan": {"kind": "composites"}}')


def test_shards_to_be_judged_on_are_looked_into(study: Study, data: Path) -> None:
    packed = replace(study, evaluation=replace(study.evaluation, data=str(data / "shards")))
    pack(data / "shards", 15)
    check_foregrounds(packed, LeakCache(None))
    write(data / "matting", "copy.png", encode_png(scene(15)), matte(3))
    words = r": .*original/copy.png is .*of-00001.parquet, 0*f/0 \(original/15.png\)$"
    with pytest.raises(InputError, match=words):
        check_foregrounds(packed, LeakCache(None))
    write(data / "matting", "copy.png", encode_png(scene(3)), matte(15))
    with pytest.raises(InputError, match=r": .*mask/copy.png is the matte of .*\(original/15.png\)$"):
        check_foregrounds(packed, LeakCache(None))


def with_sets(data: Path) -> Study:
    sets = f"{{new: {{data: {data}/eval}}, old: {{data: {data}/old, tuned: rates}}}}"
    return parse_study(TEXT.replace("{data: $data/eval}", f"{{sets: {sets}}}"), "mine", [f"data={data}"])


def test_every_set_is_looked_through(data: Path) -> None:
    write(data / "old", "tuned.png", encode_png(scene(40)), matte(40))
    study = with_sets(data)
    check_sets(study, LeakCache(None))
    check_foregrounds(study, LeakCache(None))
    write(data / "matting", "copy.png", encode_png(scene(40)), matte(3))
    with pytest.raises(InputError, match=r"foreground of .*matting is in .*: .*copy.png is .*old/original/tuned.png$"):
        check_foregrounds(study, LeakCache(None))
    (data / "photos").mkdir()
    (data / "photos" / "b.jpg").write_bytes(encode_jpeg(scene(40), 80))
    with pytest.raises(InputError, match=r"background of .*photos is in .*: b.jpg is .*old/original/tuned.png$"):
        check_backgrounds(study, [data / "photos"], LeakCache(None))


def test_what_was_tuned_on_is_not_tested(data: Path) -> None:
    write(data / "old", "tuned.png", encode_png(scene(11)), matte(40))
    with pytest.raises(
        InputError,
        match=r"of the set old of .* is in the evaluation set new, or .*: .*tuned.png is .*judged1.png$",
    ):
        check_sets(with_sets(data), LeakCache(None))


def test_what_cannot_be_read_is_no_evaluation_set(study: Study, data: Path) -> None:
    broken = replace(study, evaluation=replace(study.evaluation, data=str(data / "broken")))
    (data / "broken").mkdir()
    for name in ("a.jpg", "a_matte.png"):
        (data / "broken" / name).write_text("no picture")
    with pytest.raises(
        InputError, match=r"^evaluation.data: .*broken: no photograph in it can be read; name another set"
    ):
        check_foregrounds(broken, LeakCache(None))
    packed = replace(study, evaluation=replace(study.evaluation, data=str(data / "shards")))
    candidate = {"background_id": "0" * 20, "source": "a.jpg", "image": picture(encode_png(scene(1)), "a.png")}
    write_shard(DatasetFolder(data / "shards"), "candidates-00000-of-00001", CANDIDATES, [candidate], [])
    DatasetFolder(data / "shards").manifest_path.write_text('{"plan": {"kind": "composites"}}')
    with pytest.raises(InputError, match=r"of-00001.parquet: no photographs with mattes in it.*run `rssn pack` again"):
        check_foregrounds(packed, LeakCache(None))


def curate(curated: Path, photographs: dict[str, bytes], reason: str) -> None:
    """A curated set that said this of all photographs."""
    rows, box = [], {"label": "cat", "confidence": 0.9, "x": 0.4, "y": 0.4, "width": 0.2, "height": 0.2}
    for name, encoded in photographs.items():
        grey = cv2.cvtColor(scene(int(Path(name).stem)), cv2.COLOR_RGB2GRAY)
        phash, low_texture = hash_picture(np.asarray(grey, np.uint8), CurationRules())
        facts = {
            "background_id": content_id(encoded),
            "source": name,
            "phash": phash,
            "low_texture": low_texture,
            "boxes": [box],
        }
        rows.append(facts | {"image": picture(encoded, name), "candidate_shard": "candidates-0", "reason": reason})
    shard = [{key: value for key, value in row.items() if key in CANDIDATES.names} for row in rows]
    write_shard(candidates_folder(DatasetFolder(curated)), "candidates-0", CANDIDATES, shard, [])
    verdicts = [{key: value for key, value in row.items() if key in VERDICTS.names} for row in rows]
    write_parquet(verdicts_path(curated), VERDICTS, verdicts)


def crop(curated: Path, root: Path) -> Path:
    """The step that takes crops of a curated set."""
    step = Step("crops", "coco", {"curated": str(curated)}, {"size": [[48, 32]]})
    make_steps([step], root, LocalRunner(), {}, lambda _: None)
    return step.out(root)


def test_crops_are_refused_for_the_photographs_that_they_are_of(
    study: Study, data: Path, s3: Store, bucket: str
) -> None:
    again = {"11.jpg": encode_jpeg(scene(11), 80), "40.jpg": encode_jpeg(scene(40), 80)}
    curated = data / "steps" / "curate-bg-0123" / "out"
    curate(curated, again, SALIENT_OBJECT)
    found = crop(curated, data)
    assert len(list(found.glob("*.png"))) == 12
    shutil.copytree(found, data / "taken")
    check_backgrounds(study, [data / "taken"], LeakCache(None))  # the crops by themselves say nothing
    shutil.move(data / "steps", data / "moved")
    crops = data / "moved" / found.relative_to(data / "steps")
    words = r"a photograph behind the crops of .*curate-bg-0123/out is in .*: 11.jpg is .*judged1.png$"
    with pytest.raises(InputError, match=words):
        check_backgrounds(study, [crops], LeakCache(None))
    for path in (data / "moved").rglob("*"):
        if path.is_file():
            s3.put(f"{bucket}/steps/{path.relative_to(data / 'moved').as_posix()}", path.read_bytes())
    with pytest.raises(
        InputError, match=rf"behind the crops of {bucket}/steps/curate-bg-0123/out is in .*judged1.png$"
    ):
        check_backgrounds(study, [BucketPath(f"{bucket}/steps/{found.relative_to(data / 'steps')}")], LeakCache(None))
    s3.faults = [Fault("refuse", "GET", "job.json", times=99)]
    with pytest.raises(RemoteError):
        check_backgrounds(study, [BucketPath(f"{bucket}/steps/{found.relative_to(data / 'steps')}")], LeakCache(None))
    input_fingerprint.cache_clear()
    curate(data / "moved" / "curate-bg-0123" / "out", again, "duplicate")  # no crops are taken of it
    check_backgrounds(study, [crops], LeakCache(None))


@pytest.fixture
def remembered(study: Study, data: Path) -> Path:
    """What remembers that all is clean; since then a photograph was replaced by one to be judged on, unseen."""
    place, copy = data / "matting" / "original" / "train0.png", (data / "eval" / "original" / "judged1.png")
    place.write_bytes(place.read_bytes().ljust(1 << 17, b"\0"))
    check_foregrounds(study, LeakCache(data / "leaks.json"))
    status = place.stat()
    place.write_bytes(copy.read_bytes().ljust(1 << 17, b"\0"))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (place.stat().st_size, place.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    with pytest.raises(InputError, match=r"train0.png is .*judged1.png"):
        check_foregrounds(study, LeakCache(None))
    return data / "leaks.json"


def test_what_was_clean_is_read_again_only_when_it_changed(study: Study, data: Path, remembered: Path) -> None:
    check_foregrounds(study, LeakCache(remembered))
    input_fingerprint.cache_clear()
    write(data / "matting", "copy.png", encode_png(scene(12)), matte(3))
    with pytest.raises(InputError, match=r"copy.png is .*judged2.png"):
        check_foregrounds(study, LeakCache(remembered))


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (leaks, "_FORMAT", 99),
        (leaks, "RULES", CurationRules(phash_distance=5)),
        (leaks, "RULES", CurationRules(flat_std=0.5)),
        (leaks, "OVERLAP", 0.9),
    ],
)
def test_another_rule_looks_again(
    study: Study, remembered: Path, module: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, value)
    with pytest.raises(InputError, match=r"train0.png is .*judged1.png"):
        check_foregrounds(study, LeakCache(remembered))


def test_mattes_are_compared_by_the_scales_that_the_study_gives(study: Study, data: Path) -> None:
    per_cent = np.rint(matte(11) / 2.55).astype(np.uint8)
    known = np.where(matte(11)[..., None] > 0, scene(11), 0).astype(np.uint8)
    write(data / "cut", "a.png", encode_png(known), per_cent, ("fg", "alpha"))
    study = replace(study, foregrounds=(str(data / "cut"),))
    check_foregrounds(study, LeakCache(None))  # its matte is refused by every command
    options = {"alpha-scale": 100}
    scaled = replace(study, rows={name: replace(row, options=options) for name, row in study.rows.items()})
    with pytest.raises(InputError, match=r"cut/alpha/a.png is .*/mask/judged1.png$"):
        check_foregrounds(scaled, LeakCache(None))
    judged = replace(scaled, evaluation=replace(scaled.evaluation, options={"alpha-scale": "ten"}))
    with pytest.raises(InputError, match="--alpha-scale 'ten': give the value that means opaque"):
        check_foregrounds(judged, LeakCache(None))


def test_a_scale_that_is_new_is_looked_at_again(study: Study, data: Path) -> None:
    known = data / "leaks.json"
    check_foregrounds(study, LeakCache(known))
    before = known.read_text()
    check_foregrounds(study, LeakCache(known))
    assert known.read_text() == before
    check_foregrounds(
        replace(study, evaluation=replace(study.evaluation, options={"alpha-scale": 255})), LeakCache(known)
    )
    assert known.read_text() != before
