from __future__ import annotations

from tests.pipelines.conftest import fake_composites, write_composites

__all__ = ["fake_composites", "write_composites"]
