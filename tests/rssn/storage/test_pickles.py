from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from rssn.errors import InputError
from rssn.storage.pickles import Name, Refused, copy_checked, pickle_uses

EMPTY = b"\x80\x02}."


def write(path: Path, pickled: bytes, more: Mapping[str, bytes] | None = None, compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {"a/data.pkl": pickled, "a/version": b"3\n", **(more or {})}.items():
            archive.writestr(name, content)
    return path


class Pickler(pickle.Pickler):
    """As torch pickles: what stands for a storage is named by its type."""

    def persistent_id(self, value: object) -> object:
        return ("storage", Decimal, "0", "cpu", 4) if value == "tensor" else None


def test_imports_are_told_apart_by_what_becomes_of_them() -> None:
    stream = io.BytesIO()
    value = OrderedDict(parts=[{1, 2}, 1.5, None, "tensor"], more=(Path, b"x", 1 << 70, (), (1, 2, 3, 4)))
    Pickler(stream, 2).dump(value)
    uses = pickle_uses(stream.getvalue())
    assert uses.called == {
        Name("collections", "OrderedDict"),
        Name("__builtin__", "set"),
        Name("_codecs", "encode"),
    }
    assert uses.named == {Name("decimal", "Decimal"), Name("pathlib", "Path")}
    assert uses.made == set()
    assert pickle_uses(pickle.dumps(Plain(), 2)).made == {Name(__name__, "Plain")}
    assert pickle_uses(b"\x80\x02]cposix\nsystem\nq\x00)Rah\x00)\x81a.").made == {Name("posix", "system")}


class Plain:
    pass


REFUSED = {
    "an instruction of another protocol": b"\x80\x02(S'x'\nios\nsystem\n.",
    "names from the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "a protocol that torch does not write": pickle.dumps({}, 4),
    "an extension's number": b"\x80\x02\x82\x01.",
    "a dotted name": b"\x80\x02ctorch.nn.modules.container\noperator.attrgetter\n.",
    "a name with spaces": b"\x80\x02cos path\nsystem\n.",
    "an escape that a loader does not undo": b"\x80\x02c\\x6fs\nsystem\n.",
    "a call of what was made": b"\x80\x02})R.",
    "an object of what was made": b"\x80\x02})\x81.",
    "a constructor's arguments": b"\x80\x02cos\n_Environ\nK\x01\x85\x81.",
    "a change to a class": b"\x80\x02cos\n_Environ\n}b.",
    "an addition to a class": b"\x80\x02cos\n_Environ\nK\x01a.",
    "a mark taken for a value": b"\x80\x02(\x85.",
    "more values than there are": b"\x80\x02K\x01\x87.",
    "no mark": b"\x80\x02K\x01t.",
    "a memo that was never filled": b"\x80\x02h\x07.",
    "no end": b"\x80\x02}",
    "more behind the end": EMPTY + EMPTY,
    "values left over": b"\x80\x02}}.",
    "nothing": b"",
    "no pickle": b"\xffnonsense",
}


@pytest.mark.parametrize("pickled", REFUSED.values(), ids=list(REFUSED))
def test_what_torch_does_not_write_is_refused(pickled: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        pickle_uses(pickled)
    with pytest.raises(InputError, match=r"a\.pt: refused because it could run code: ") as caught:
        copy_checked(write(tmp_path / "a.pt", pickled), tmp_path / "copy.pt")
    assert "\n" not in str(caught.value)


def test_the_copy_holds_what_was_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", EMPTY, {"a/data/0": b"1234", "a/.data/serialization_id": b"7"})
    assert copy_checked(path, tmp_path / "copy.pt").called == set()
    with zipfile.ZipFile(tmp_path / "copy.pt") as copy:
        content = {name: copy.read(name) for name in copy.namelist()}
    expected = {"a/data.pkl": EMPTY, "a/version": b"3\n", "a/data/0": b"1234", "a/.data/serialization_id": b"7"}
    assert content == expected


@pytest.mark.parametrize(
    "name", ["a/constants.pkl", "a/code/__torch__.py", "a/more/data.pkl", "b/data/0", "data.pkl", "a/data/../x"]
)
def test_members_that_torch_does_not_write_are_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", EMPTY, {name: EMPTY})
    with pytest.raises(InputError, match=f"refused because it could run code: torch.save writes no {name} like that"):
        copy_checked(path, tmp_path / "copy.pt")


def test_archives_that_two_readers_might_read_otherwise_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", EMPTY)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data.pkl", EMPTY)
    with pytest.raises(InputError, match="several members of one name"):
        copy_checked(path, tmp_path / "copy.pt")
    with pytest.raises(InputError, match=r"writes no a/data\.pkl like that"):
        copy_checked(write(path, EMPTY * 9, compression=zipfile.ZIP_DEFLATED), tmp_path / "copy.pt")


def test_damage_is_told_from_malice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", EMPTY, {"a/data/0": b"12345678"})
    path.write_bytes(path.read_bytes().replace(b"12345678", b"12345679"))
    with pytest.raises(InputError, match=r"a\.pt: damaged, or no archive of .*: Bad CRC-32 for file 'a/data/0'"):
        copy_checked(path, tmp_path / "copy.pt")
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")  # as torch wrote before 1.6
    with pytest.raises(InputError, match=r"damaged, or no archive of torch\.save: File is not a zip file"):
        copy_checked(path, tmp_path / "copy.pt")
    with pytest.raises(InputError, match="No such file"):
        copy_checked(tmp_path / "none.pt", tmp_path / "copy.pt")
