from __future__ import annotations

import pytest

from rssn.errors import RemoteError
from rssn.storage.buckets import abort_uploads, remove, write
from rssn.storage.urls import Url
from tests.bucket import Store


def test_no_credentials(s3: Store, bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("s3fs.S3FileSystem.cachable", False)
    with pytest.raises(RemoteError, match=rf"{bucket}/a: access is refused \(Unable to locate credentials\);"):
        write(f"{bucket}/a", b"1")
    assert s3.names(bucket) == set()


def test_an_object_that_must_be_new(s3: Store, bucket: Url) -> None:
    write(f"{bucket}/a", b"1", new=True)
    with pytest.raises(FileExistsError):
        write(f"{bucket}/a", b"2", new=True)
    write(f"{bucket}/a", b"3")
    assert s3.get(f"{bucket}/a") == b"3"
    remove([f"{bucket}/a", f"{bucket}/never-was"])
    assert s3.names(bucket) == set()


def test_half_done_uploads_are_given_up_below_a_url_alone(s3: Store, bucket: Url) -> None:
    for key in ("mine/a", "mine-too/a"):
        s3.client.create_multipart_upload(Bucket=bucket.removeprefix("s3://"), Key=key)
    abort_uploads(f"{bucket}/mine")
    assert s3.unfinished(bucket) == 1
