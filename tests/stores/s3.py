"""Amazon S3, as moto's server speaks it."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import boto3
from moto.server import ThreadedMotoServer

from tests.bucket import Store, split


class S3Store(Store):
    protocol = "s3"
    variable = "AWS_ENDPOINT_URL"
    secrets = ("the-secret-of-the-tests",)
    answers: ClassVar = {
        "throttle": (503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"),
        "fail": (500, "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"),
        "refuse": (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
    }

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        super().__init__(self._moto.get_host_and_port())
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self.client: Any = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.target[1]}", **keys)

    @property
    def environment(self) -> dict[str, str]:
        """What leads to the proxy; trying again is left to s3fs."""
        keys = {"AWS_ACCESS_KEY_ID": "AKIDFORTESTS", "AWS_SECRET_ACCESS_KEY": self.secrets[0]}
        return keys | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}

    def close(self) -> None:
        super().close()
        self._moto.stop()

    def create(self, bucket: str) -> None:
        self.client.create_bucket(Bucket=bucket)

    def put(self, url: str, data: bytes) -> None:
        bucket, key = split(url)
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, url: str) -> bytes:
        bucket, key = split(url)
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def remove(self, url: str) -> None:
        bucket, key = split(url)
        self.client.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str, prefix: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def start_upload(self, url: str) -> None:
        bucket, key = split(url)
        begun = self.client.create_multipart_upload(Bucket=bucket, Key=key)
        self.client.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"half")

    def unfinished(self, url: str) -> int:
        return len(self.client.list_multipart_uploads(Bucket=split(url)[0]).get("Uploads", []))
