"""Data sets that go to a bucket: made on this disk shard by shard, each handed over when it is whole.

The folder that a job works in stands for the URL (see `rssn.storage.urls`). A worker makes a shard in it, hands over
data, rejects and last of all the mark, and removes them here; the driver hands over what it writes itself. Nobody has
the whole data set on disk: what a driver needs of the shards it reads from the bucket.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Event
from typing import Generic

from pipelines.executor.runner import Done, T
from pipelines.executor.work import Work
from rssn.dataset.shards import DatasetFolder, Mark, is_own
from rssn.errors import InputError
from rssn.storage.bucket_lease import BucketLease
from rssn.storage.buckets import FileFacts, abort_uploads, list_objects, remove, stat_objects, upload
from rssn.storage.cache_folder import own_folder
from rssn.storage.files import sha256, write_json
from rssn.storage.lock import hold_lease_at
from rssn.storage.remote import download, list_source
from rssn.storage.urls import OUTPUTS, Url, path_of, url_of

_INPUTS = ("plan/*.parquet", "verdicts.parquet")
"""What tasks read of their own data set, beside shards."""

_FETCHED = re.compile(
    r"manifest\.json|verdicts\.parquet|review\.sqlite|plan/[^/]+|(candidates/)?(\.run\.json|(marks|rejects)/[^/]+)"
)
_OURS = re.compile(
    r"manifest\.json|README\.md|verdicts\.parquet|plan/[^/]+\.parquet|report/[^/]+|"
    r"(candidates/)?(\.run\.json|rejects/(plan|[^/]+-failed)\.parquet)"
)
"""What the driver writes itself."""
_PASSING = re.compile(r"(candidates/)?(\.run\.json|rejects/(plan|[^/]+-failed)\.parquet)")
_PICTURES = re.compile(r"report/(contact-sheet|step-strip)-[^/]+")


def source(place: Path | Url, cache: Path) -> Path:
    """The path of an input; of a URL what lies there is listed.

    Raises:
        InputError: If a URL leads to nothing, or the cache is somebody else's folder.
        RemoteError: If the bucket does not answer.
    """
    if not isinstance(place, Url):
        return place
    own_folder(cache.resolve())
    return list_source(place, cache.resolve())


@contextmanager
def open_output(out: Path | Url, cache: Path) -> Iterator[Path]:
    """The folder to make a data set in: `out` itself, or one in the cache that stands for a URL.

    For a URL the bucket's lease is held meanwhile; at the end what the driver wrote is handed over, also where the run
    failed, and the folder is removed.

    Raises:
        InputError: If another run works on the data set, or what lies there is none of ours.
        RemoteError: If the bucket does not answer, or does not take what is handed over.
    """
    if not isinstance(out, Url):
        yield out
        return
    own_folder(cache.resolve())
    root = path_of(out, cache.resolve(), OUTPUTS)
    with hold_lease_at(BucketLease(out, root)) as lost:
        _remove(root)
        try:
            _download_light(root)
            abort_uploads(out)
            yield from _uploading_changes(root, lost)
        finally:
            _remove(root)


def _remove(root: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(root)


def _uploading_changes(root: Path, lost: Event) -> Iterator[Path]:
    try:
        yield root
    except BaseException:
        with suppress(OSError):
            if not lost.is_set():
                _upload_changes(root)
        raise
    _upload_changes(root)


@contextmanager
def open_readonly(dataset: Path | Url) -> Iterator[Path]:
    """The folder of a data set that is only looked at; of a URL, one without the shards, which are read from there.

    A report that is written meanwhile is handed over.
    """
    if not isinstance(dataset, Url):
        yield dataset
        return
    with tempfile.TemporaryDirectory(prefix="rssn-") as scratch:
        root = path_of(dataset, Path(scratch), OUTPUTS)
        _download_light(root)
        BucketLease(dataset, root).copy()
        yield root
        if (root / "report").is_dir():
            _upload_changes(root, re.compile(r"report/[^/]+"))


def with_upload(work: Work[T], root: Path) -> Work[T]:
    """Work whose shards go to the bucket that its folder stands for; the same work where it stands for none.

    Args:
        work: Its folder is the data set, or one in it.
        root: The folder of the data set.

    Raises:
        RemoteError: If the bucket does not take what the tasks need to know.
    """
    url = url_of(work.folder.root)
    if url is None:
        return work
    _upload_changes(root)
    inputs = {path.relative_to(root).as_posix(): sha256(path) for pattern in _INPUTS for path in root.glob(pattern)}
    function = ShardUpload(root, work.folder, work.function, inputs, again=bool(work.redo))
    return replace(work, function=function, trusted=partial(_uploaded_mark, stat_objects(url)), on_shard=fetch_marker)


def clear(root: Path) -> None:
    """Remove all that is ours of the data set that a folder stands for; the manifest is handed over first."""
    url = url_of(root)
    if url is not None:
        upload(root / "manifest.json", f"{url}/manifest.json")
        remove([f"{url}/{name}" for name in list_objects(url) if is_own(name)])


@dataclass(frozen=True)
class ShardUpload(Generic[T]):
    """A task's function, on a machine that has nothing of the data set yet, and with the shard handed over."""

    root: Path
    folder: DatasetFolder
    function: Callable[[T], Done]
    inputs: Mapping[str, str]  # sha256 by name
    again: bool  # whether the task may want the shard that stands

    def __call__(self, task: T) -> Done:
        """Fetch, work, hand over, remove."""
        self.folder.root.mkdir(parents=True, exist_ok=True)
        task.current_item.unlink(missing_ok=True)  # of an earlier attempt on this machine
        for name, digest in self.inputs.items():
            ensure_local(self.root, name, digest)
        names = self._names(task.name)
        try:
            if self.again:
                with suppress(FileNotFoundError):  # one part, or all of it
                    for name in names:
                        download(self._url, self.folder.root, [name])
            done = self.function(task)
            self._upload(names, done.mark)
        finally:
            for name in names:
                (self.folder.root / name).unlink(missing_ok=True)
        return done

    @property
    def _url(self) -> str:
        return url_of(self.folder.root) or ""

    def _names(self, name: str) -> tuple[str, str, str]:
        """Mark, data and rejects of a shard."""
        paths = (self.folder.mark(name), self.folder.data(name), self.folder.rejects(name))
        mark, data, rejects = (path.relative_to(self.folder.root).as_posix() for path in paths)
        return mark, data, rejects

    def _upload(self, names: tuple[str, str, str], mark: Mark) -> None:
        """The old mark goes first, for it vouches for other bytes; the new one comes last."""
        remove([f"{self._url}/{names[0]}"])
        for name, count in zip(names[1:], (mark.rows, mark.rejected), strict=True):
            if count:
                upload(self.folder.root / name, f"{self._url}/{name}")
            else:
                remove([f"{self._url}/{name}"])
        upload(self.folder.root / names[0], f"{self._url}/{names[0]}")


def ensure_local(root: Path, name: str, digest: str) -> None:
    """Fetch a file unless it is here."""
    path = root / name
    if path.is_file() and _sha256(path, path.stat().st_mtime_ns) == digest:
        return
    download(url_of(root) or "", root, [name])
    if _sha256(path, path.stat().st_mtime_ns) != digest:
        raise InputError(f"{url_of(path)}: another run changed it; run the same command again")


@lru_cache(maxsize=16)
def _sha256(path: Path, _written_ns: int) -> str:
    return sha256(path)


def _uploaded_mark(found: Mapping[str, FileFacts], folder: DatasetFolder, name: str) -> Mark | None:
    """The mark of a shard that lies in the bucket as it says; read through if it was written after its mark."""
    mark, marked = folder.read_mark(name), found.get(f"marks/{name}.json")
    data, rejects = found.get(f"data/{name}.parquet"), folder.rejects(name)
    if mark is None or (data and data.size) != (mark.bytes if mark.rows else None):
        return None
    if data and (not marked or data.written_ns > marked.written_ns) and sha256(folder.data(name)) != mark.sha256:
        return None
    here = sha256(rejects) if rejects.is_file() else ""
    return mark if here == mark.rejects_sha256 else None


def fetch_marker(folder: DatasetFolder, mark: Mark) -> None:
    """Have the light part of a shard that a worker handed over."""
    write_json(folder.mark(mark.name), asdict(mark))
    if mark.rejected:
        download(url_of(folder.root) or "", folder.root, [f"rejects/{mark.name}.parquet"])
    else:
        folder.rejects(mark.name).unlink(missing_ok=True)


def _download_light(root: Path) -> None:
    """Have the light part of the data set that a folder stands for."""
    url = url_of(root) or ""
    names = [name for name in list_objects(url) if not name.startswith(".lease")]
    if names and "manifest.json" not in names:
        raise InputError(f"{url}: not empty, and not a data set of rssn; choose another --out")
    root.mkdir(parents=True)
    download(url, root, [name for name in names if _FETCHED.fullmatch(name)])


def _upload_changes(root: Path, ours: re.Pattern[str] = _OURS) -> None:
    """Bring the bucket up to date with what the driver wrote; the manifest first, which says whose it is."""
    url = url_of(root) or ""
    here = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    names = sorted((name for name in here if ours.fullmatch(name)), key=lambda name: (name != "manifest.json", name))
    if not names:
        return
    for name in names:
        upload(root / name, f"{url}/{name}")
    gone = [name for name in list_objects(url) if name not in here and ours.fullmatch(name)]
    drawn = "report/index.html" in here
    remove([f"{url}/{name}" for name in gone if _PASSING.fullmatch(name) or (drawn and _PICTURES.fullmatch(name))])
