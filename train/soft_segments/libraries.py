"""What the extra `sss` brings, imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rssn.errors import DependencyError


def require_libraries() -> Any:
    """scikit-image's SLIC.

    Raises:
        DependencyError: If the extra is not installed.
    """
    try:
        import threadpoolctl  # noqa: F401, PLC0415  (an extra, as below)
        from skimage.segmentation import slic  # noqa: PLC0415
    except ImportError as error:
        package = "threadpoolctl" if error.name == "threadpoolctl" else "scikit-image"
        raise DependencyError(f"--method sss: {package} is not installed: pip install 'rssn[sss]'") from error
    return slic


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS and torch work with one thread.

    Raises:
        DependencyError: If the extra is not installed.
    """
    require_libraries()
    import threadpoolctl  # noqa: PLC0415  (an extra)
    import torch  # noqa: PLC0415

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
