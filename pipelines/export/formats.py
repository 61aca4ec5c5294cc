"""The formats of `rssn export`, a row each: which column becomes which file, and what its reader wants besides.

`--out` is the folder that the reader calls the data set. Which files of theirs were followed, and what they
say:

* `birefnet`: github.com/ZhengPeng7/BiRefNet, `dataset.py` and `config.py`. A data set is a folder of
  `<data_root_dir>/<task>/` with `im/` and `gt/`; names that end with .png, .jpg, .PNG, .JPG or .JPEG count, and a mask
  has its picture's name and any of these suffixes. For the tasks General and Matting every name in the task's folder
  is a data set, so nothing may lie beside it. Masks are read as 8-bit grey and not thresholded: soft alpha is learned.
* `dis5k`: github.com/xuebinqin/DIS, `IS-Net/train_valid_inference_main.py` and `IS-Net/data_loader_cache.py`. The
  training set is `../DIS5K/DIS-TR` with `im/*.jpg` and `gt/<same>.png`. The masks' 8-bit values are taken as they are.
* `rvm`: github.com/PeterL1n/RobustVideoMatting, `dataset/imagematte.py`, `dataset/videomatte.py` and `train_config.py`.
  ImageMatte is `fgr/` and `pha/` with the same names, suffix included, opened by Pillow, which goes by the content;
  backgrounds are a folder of pictures and of nothing else, one for training and one for validation. It composes
  itself, so each foreground is wanted once. Its videos and segmentation sets are not ours to give.
* `webdataset`: github.com/webdataset/webdataset, `src/webdataset/tariterators.py`. Members that follow each other and
  have the same name up to the first dot are a sample.
* `hf`: github.com/huggingface/datasets, `src/datasets/packaged_modules/parquet/parquet.py`, and the card's `configs`,
  which say where the splits are; the schema's metadata say which columns are pictures.
* `folder`: github.com/JizhiziLi/GFM, `core/config.py`, for the names of AM-2k's and BG-20k's folders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.export.layout import Layout, Picture
from pipelines.export.target import Target
from pipelines.export.writers import Export, write_pictures, write_shards, write_tars
from rssn.errors import InputError


@dataclass(frozen=True)
class Format:
    """A form that other programs read.

    Attributes:
        what: What is written, and what `--out` is, for `--help`.
        followed: The files whose rules it follows, see above.
        layouts: Names of the files, by the kind of data set that can be written so.
        write: Writes them.
        may_grow: Whether shards that come later change no name of those before.
    """

    what: str
    followed: str
    layouts: Mapping[str, Layout]
    write: Callable[[Export, Target], None]
    may_grow: bool = False

    def layout(self, kind: str, name: str) -> Layout:
        """The names of a kind of data set.

        Raises:
            InputError: If the format has none for it.
        """
        if kind not in self.layouts:
            others = ", ".join(other for other, form in FORMATS.items() if kind in form.layouts)
            raise InputError(f"--format {name} takes {' and '.join(self.layouts)}, not {kind}; choose one of {others}")
        return self.layouts[kind]


def _by_split(validation: str) -> Layout:
    return Layout("background_id", (Picture("image", "{split}/{key}{suffix}"),), splits={"validation": validation})


def _im_gt(*suffixes: str) -> Layout:
    pictures = (Picture("image", "im/{key}{suffix}", suffixes), Picture("alpha", "gt/{key}{suffix}", (".png",)))
    return Layout("sample_id", pictures)


def _all_four(image: str, alpha: str, foreground: str, background: str) -> Layout:
    named = {"image": image, "alpha": alpha, "foreground": foreground, "background": background}
    return Layout("sample_id", tuple(Picture(column, name) for column, name in named.items()))


_FGR_PHA = Layout(
    "foreground_id",
    (Picture("foreground", "fgr/{key}{shared}"), Picture("alpha", "pha/{key}{shared}")),
    each_once=True,
)

FORMATS: Mapping[str, Format] = {
    "folder": Format(
        "original/ mask/ fg/ bg/ as in AM-2k (original is the composite); of backgrounds train/ testval/ as in BG-20k",
        "JizhiziLi/GFM: core/config.py",
        {
            "composites": _all_four(
                "original/{key}{suffix}", "mask/{key}{suffix}", "fg/{key}{suffix}", "bg/{key}{suffix}"
            ),
            "backgrounds": _by_split("testval"),
        },
        write_pictures,
        may_grow=True,
    ),
    "birefnet": Format(
        "im/ gt/ for BiRefNet; --out is DATA_ROOT/TASK/NAME, such as datasets/dis/Matting/TR-RSSN",
        "ZhengPeng7/BiRefNet: dataset.py, config.py",
        {"composites": _im_gt(".jpg", ".png")},
        write_pictures,
        may_grow=True,
    ),
    "dis5k": Format(
        "im/*.jpg gt/*.png for IS-Net; --out is DIS5K/DIS-TR",
        "xuebinqin/DIS: IS-Net/train_valid_inference_main.py, IS-Net/data_loader_cache.py",
        {"composites": _im_gt(".jpg")},
        write_pictures,
        may_grow=True,
    ),
    "rvm": Format(
        "fgr/ pha/ for Robust Video Matting, each foreground once; --out is ImageMatte/train; of backgrounds train/ "
        "valid/, --out is Backgrounds",
        "PeterL1n/RobustVideoMatting: dataset/imagematte.py, train_config.py",
        {"composites": _FGR_PHA, "backgrounds": _by_split("valid")},
        write_pictures,
        may_grow=True,
    ),
    "webdataset": Format(
        "a tar for each shard, of KEY.jpg KEY.alpha.png KEY.fg.jpg KEY.bg.jpg KEY.json",
        "webdataset/webdataset: src/webdataset/tariterators.py",
        {
            "composites": _all_four("{key}{suffix}", "{key}.alpha{suffix}", "{key}.fg{suffix}", "{key}.bg{suffix}"),
            "backgrounds": Layout(
                "background_id", (Picture("image", "{key}{suffix}"),), splits={"validation": "testval"}
            ),
        },
        write_tars,
    ),
    "hf": Format(
        "the Parquet shards by split, and a card, for datasets.load_dataset(OUT) and the Hugging Face Hub",
        "huggingface/datasets: src/datasets/packaged_modules/parquet/parquet.py",
        {"composites": Layout("sample_id", ()), "backgrounds": Layout("background_id", ())},
        write_shards,
    ),
}
