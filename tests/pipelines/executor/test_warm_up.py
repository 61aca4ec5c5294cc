from __future__ import annotations

from tests.conftest import PlainKernels


def test_of_processes_that_start_together_one_compiles(plain_kernels: PlainKernels) -> None:
    assert plain_kernels.words == ["0 1", "0 1", "1 0"]  # compiled, loaded
