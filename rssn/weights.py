"""Files of torch that hold weights: read without running code from them, and against their checksums.

torch, an optional extra, is imported on the first call.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rssn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_ARCHIVE = b"PK\x03\x04"


def load_tensors(path: Path) -> Any:
    """Read what `torch.save` wrote to the CPU: tensors, numbers and texts, in dicts and lists.

    torch writes a checksum for each tensor but does not look at it. Files of torch before 1.6 have none.

    Raises:
        InputError: If the file is missing, damaged, or holds more than tensors.
    """
    import torch  # noqa: PLC0415  (optional extra)

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: no file")
        with path.open("rb") as stream:
            _verify(path, stream)
            return torch.load(stream, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # torch raises whatever a broken or foreign file makes it raise
        words = "damaged, or it holds more than tensors, which might run code"
        raise InputError(f"{path}: nothing that torch can load safely: {words}") from error


def check_values(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights and statistics that give no mattes.

    Args:
        state: Tensors by name.
        source: Where they come from, for the message.

    Raises:
        InputError: If a value is infinite or no number, or a variance of a batch norm is negative.
    """
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{source}: {name} holds values that are not finite; take another copy")
        if name.endswith("running_var") and (value < 0).any():
            raise InputError(f"{source}: {name} holds negative variances; take another copy")


def _verify(path: Path, stream: IO[bytes]) -> None:
    """Read every member of an archive against its checksum; where all are 0, torch was told to write none."""
    archived = stream.read(len(_ARCHIVE)) == _ARCHIVE
    stream.seek(0)
    if not archived:
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            broken = archive.testzip() if any(member.CRC for member in archive.infolist()) else None
    except Exception as error:  # zipfile raises whatever damage makes it raise
        raise InputError(f"{path}: damaged: {error}; take another copy") from error
    if broken:
        raise InputError(f"{path}: damaged: {broken} differs from its checksum; take another copy")
    stream.seek(0)
