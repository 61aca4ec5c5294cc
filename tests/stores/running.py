"""The stores that tests run, by protocol, or why one cannot be run here."""

from __future__ import annotations

import importlib.util

import pytest

from tests.bucket import Store


def start(protocol: str) -> Store:
    """Start a store; skips where its emulator is not installed."""
    if protocol == "s3":
        from tests.stores.s3 import S3Store  # noqa: PLC0415  (boto3 and moto take a second)

        return S3Store()
    if protocol == "gs":
        if importlib.util.find_spec("gcp_storage_emulator") is None:
            pytest.skip("no Google Cloud Storage to test with: pip install gcp-storage-emulator")
        from tests.stores.google import GoogleStore  # noqa: PLC0415

        return GoogleStore()
    from tests.stores.azure import AzureStore, missing  # noqa: PLC0415

    if why := missing():
        pytest.skip(why)
    return AzureStore()
