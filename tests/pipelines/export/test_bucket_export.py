"""An export to a bucket: the same names and bytes as in a folder, and nothing is read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.commands.export import export
from pipelines.export.formats import FORMATS
from pipelines.export.job import ExportJob, run_export
from rssn.errors import InputError, RemoteError
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store
from tests.pipelines.composing import files

Maker = Callable[..., Path]


@pytest.mark.parametrize("form", FORMATS)
def test_a_bucket_gets_what_a_folder_gets(
    fake_composites: Maker, tmp_path: Path, store: Store, place: str, form: str
) -> None:
    dataset = fake_composites()
    folder = run_export(ExportJob(dataset, tmp_path / "out", form))
    job = ExportJob(dataset, BucketPath(f"{place}/out"), form)
    done = run_export(job)
    assert store.stored(f"{place}/out") == files(tmp_path / "out")
    assert done == folder
    assert done.kept == 0
    again = run_export(job)
    assert (again.written, again.kept) == (0, done.written)
    assert store.stored(f"{place}/out") == files(tmp_path / "out")


def test_a_bucket_belongs_to_one_export_at_a_time(fake_composites: Maker, s3: Store, bucket: str) -> None:
    """Each gives up uploads that it takes for those of a killed one, and writes `export.json`."""
    out = BucketPath(f"{bucket}/out")
    job = ExportJob(fake_composites(), out, "folder")
    with hold_lease(out), pytest.raises(InputError, match="out: another run is at work here"):
        run_export(job)
    assert s3.names(f"{bucket}/out") == set()


@pytest.mark.parametrize("form", ["birefnet", "webdataset", "hf"])
def test_the_same_export_again_reads_and_writes_no_object_of_it(
    fake_composites: Maker, s3: Store, bucket: str, form: str
) -> None:
    job = ExportJob(fake_composites(), BucketPath(f"{bucket}/out"), form)
    first = run_export(job)
    s3.asked.clear()
    again = run_export(job)
    assert (again.written, again.kept) == (0, first.written)
    about_all = {"birefnet": {"PUT index.csv": 1}, "webdataset": {}, "hf": {"PUT README.md": 1}}[form]
    listed = {f"GET {bucket.rpartition('/')[2]}": 3}  # of objects, of uploads that a killed run left, and of the lease
    asked = {words: count for words, count in s3.asked.items() if ".lease.json" not in words}
    assert asked == {**listed, "HEAD export.json": 1, "GET export.json": 1, **about_all}


def test_what_failed_is_made_by_the_same_export_again_and_the_rest_is_kept(
    fake_composites: Maker, tmp_path: Path, s3: Store, bucket: str
) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "out", "birefnet"))
    job = ExportJob(dataset, BucketPath(f"{bucket}/out"), "birefnet")
    s3.faults = [Fault("fail", "PUT", r"/im/0*3-0\.jpg", times=1000)]
    with pytest.raises(RemoteError, match=r"out/im/0*3-0\.jpg: the store did not answer"):
        run_export(job)
    s3.faults = []
    done = run_export(job)
    assert (done.written, done.kept) == (8, 8)  # the second of two shards, the first
    assert s3.stored(f"{bucket}/out") == files(tmp_path / "out")


_RUN = """
import sys
from pathlib import Path
from pipelines.export.job import ExportJob, run_export
from rssn.storage.location import BucketPath
run_export(ExportJob(Path(sys.argv[1]), BucketPath(sys.argv[2]), sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "last"),
    [("folder", "fg/0*2-1.jpg"), ("webdataset", "composites-000001.tar"), ("hf", "data/train-00001-of-00002.parquet")],
)
def test_an_export_that_is_killed_while_it_uploads_goes_on(
    fake_composites: Maker, tmp_path: Path, s3: Store, bucket: str, form: str, last: str
) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "out", form))
    fault = Fault("hang", "PUT", f"/out/{last}")
    s3.faults = [fault]
    command = [sys.executable, "-c", _RUN, str(dataset), f"{bucket}/out", form]
    running = subprocess.Popen(command, env=os.environ | s3.environment)
    for _ in range(600):
        if fault.seen:
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert s3.stored(f"{bucket}/out") != files(tmp_path / "out")
    done = run_export(ExportJob(dataset, BucketPath(f"{bucket}/out"), form))
    assert done.kept == (16 if form == "folder" else 1)
    assert s3.stored(f"{bucket}/out") == files(tmp_path / "out")


def test_an_object_that_was_replaced_or_cut_is_written_anew(
    fake_composites: Maker, tmp_path: Path, s3: Store, bucket: str
) -> None:
    dataset, url = fake_composites(), f"{bucket}/out"
    job = ExportJob(dataset, BucketPath(url), "dis5k")
    run_export(job)
    whole = s3.stored(url)
    one, two, gone, *_ = (name for name in whole if name.endswith(".png"))
    time.sleep(1.1)  # stores tell times in seconds
    s3.put(f"{url}/{one}", bytes(len(whole[one])))
    s3.put(f"{url}/{two}", whole[two][:-1])
    s3.remove(f"{url}/{gone}")
    done = run_export(job)
    assert done.written == 3
    assert s3.stored(url) == whole


def test_other_objects_are_refused_and_left_alone(fake_composites: Maker, s3: Store, bucket: str) -> None:
    dataset = fake_composites()
    s3.put(f"{bucket}/out/im/mine.jpg", b"mine")
    s3.start_upload(f"{bucket}/out/im/large.jpg")
    with pytest.raises(InputError, match=f"{bucket}/out: holds other files; choose another --out"):
        run_export(ExportJob(dataset, BucketPath(f"{bucket}/out"), "birefnet"))
    assert s3.stored(f"{bucket}/out") == {"im/mine.jpg": b"mine"}
    assert s3.unfinished(bucket) == 1
    job = ExportJob(dataset, BucketPath(f"{bucket}/two"), "birefnet")
    run_export(job)
    s3.put(f"{bucket}/two/gt/stranger.png", b"x")
    with pytest.raises(InputError, match=f"{bucket}/two/gt/stranger.png: not of this export"):
        run_export(job)
    with pytest.raises(InputError, match="holds an export as birefnet"):
        run_export(ExportJob(dataset, job.out, "dis5k"))


def test_an_upload_that_a_killed_export_left_half_done_is_given_up(
    fake_composites: Maker, s3: Store, bucket: str
) -> None:
    job = ExportJob(fake_composites(), BucketPath(f"{bucket}/out"), "webdataset")
    for name in ("out/composites-000001.tar", "elsewhere/other.tar"):
        s3.start_upload(f"{bucket}/{name}")
    run_export(job)
    assert s3.unfinished(bucket) == 1


def into_bucket(store: Store, folder: Path, url: str) -> BucketPath:
    """A data set as if it was made in a bucket: the marks are the newest objects."""
    everything = files(folder)
    for name in sorted(everything, key=lambda each: each.startswith("marks/")):
        store.put(f"{url}/{name}", everything[name])
    return BucketPath(url)


@pytest.mark.parametrize("form", FORMATS)
def test_a_data_set_in_a_bucket_gives_the_same_files(
    fake_composites: Maker, tmp_path: Path, store: Store, place: str, form: str
) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "from-folder", form))
    source = into_bucket(store, dataset, f"{place}/shards")
    done = run_export(ExportJob(source, tmp_path / "from-bucket", form))
    assert files(tmp_path / "from-bucket") == files(tmp_path / "from-folder")
    assert done.missing == []
    run_export(ExportJob(source, BucketPath(f"{place}/out"), form))
    assert store.stored(f"{place}/out") == files(tmp_path / "from-folder")


def test_a_damaged_shard_in_a_bucket_is_refused_by_name(
    fake_composites: Maker, tmp_path: Path, s3: Store, bucket: str
) -> None:
    dataset = fake_composites()
    source = into_bucket(s3, dataset, f"{bucket}/shards")
    path = dataset / "data" / "composites-00001-of-00002.parquet"
    whole = path.read_bytes()
    s3.put(f"{bucket}/shards/data/{path.name}", whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:])
    with pytest.raises(InputError, match=r"nothing was exported: composites-00001-of-00002\.parquet: the content was"):
        run_export(ExportJob(source, tmp_path / "out", "folder"))
    assert not (tmp_path / "out").exists()


def test_a_shard_that_is_kept_is_not_fetched_to_be_copied(fake_composites: Maker, s3: Store, bucket: str) -> None:
    source = into_bucket(s3, fake_composites(), f"{bucket}/shards")
    job = ExportJob(source, BucketPath(f"{bucket}/out"), "hf")
    s3.sent.clear()
    run_export(job)
    name = "composites-00000-of-00002.parquet"
    once = s3.sent[f"GET {name}"]
    run_export(job)
    twice = s3.sent[f"GET {name}"]
    assert 2 * once - twice == len(s3.get(f"{bucket}/shards/data/{name}")), "what is left out is the copy"


def test_the_command_takes_urls(fake_composites: Maker, tmp_path: Path, s3: Store, bucket: str) -> None:
    dataset = fake_composites()
    into_bucket(s3, dataset, f"{bucket}/shards")
    run_export(ExportJob(dataset, tmp_path / "out", "birefnet"))
    given = [f"{bucket}/shards", "--format", "birefnet", "--out", f"{bucket}/Matting/TR-RSSN"]
    result = CliRunner().invoke(export, given)
    assert result.exit_code == 0, result.output
    assert f"8 rows: 16 files written, 0 kept: {bucket}/Matting/TR-RSSN" in result.output
    assert s3.stored(f"{bucket}/Matting/TR-RSSN") == files(tmp_path / "out")
    assert "0 files written, 16 kept" in CliRunner().invoke(export, given).output
