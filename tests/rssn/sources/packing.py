"""A folder of pictures in everything else that pictures come in: archives, Parquet, buckets."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rssn.storage.location import BucketPath, Location
from tests.bucket import Store

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def tar(root: Path, out: Path) -> Path:
    """`.tar` or `.tar.gz`, by its name."""
    with tarfile.open(out, "w:gz" if out.name.endswith("gz") else "w") as archive:
        for path in files(root):
            archive.add(path.resolve(), path.relative_to(root).as_posix())
    return out


def zipped(root: Path, out: Path) -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for path in files(root):
            archive.write(path, path.relative_to(root).as_posix())
    return out


def parquet(pictures: dict[str, list[Path]], root: Path, out: Path, **more: list[str]) -> Path:
    """A column of pictures for each name, as Hugging Face writes them; three rows in a group."""
    columns = {
        name: pa.array(
            [{"bytes": path.read_bytes(), "path": path.relative_to(root).as_posix()} for path in some], IMAGE
        )
        for name, some in pictures.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, **more}), out, row_group_size=3)
    return out


def uploaded(store: Store, url: str, root: Path, some: Iterable[Path] | None = None) -> BucketPath:
    for path in files(root) if some is None else some:
        store.put(f"{url}/{path.relative_to(root).as_posix()}", path.read_bytes())
    return BucketPath(url)


PACKERS: dict[str, Callable[[Path, Path], Location]] = {
    "set.tar": tar,
    "set.tar.gz": tar,
    "set.zip": zipped,
}
