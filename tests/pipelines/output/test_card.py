from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bg20k.schema import PUBLISHED
from pipelines.output.card import write_card
from rssn.dataset.schema import REJECTS
from rssn.dataset.shards import DatasetFolder, filled
from rssn.route.recipe import Recipe
from rssn.storage.files import write_parquet

Maker = Callable[..., Path]


def _card(root: Path) -> tuple[dict[str, Any], str]:
    """The head and the text of a fresh card."""
    write_card(DatasetFolder(root), filled(DatasetFolder(root).marks()))
    _, head, text = (root / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def _change(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    change(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))


def test_the_head_is_what_hugging_face_reads(fake_composites: Maker) -> None:
    head, _ = _card(fake_composites())
    assert head["task_categories"] == ["image-segmentation"]
    assert head["size_categories"] == ["n<1K"]
    files = [{"split": "train", "path": "data/*.parquet"}]
    assert head["configs"] == [{"config_name": "default", "data_files": files}]


def test_the_size_category_follows_the_rows(fake_composites: Maker) -> None:
    dataset = fake_composites()
    for rows, words in ((999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "n>1M")):
        _change(dataset, lambda manifest, rows=rows: manifest["totals"].update(rows=rows))
        assert _card(dataset)[0]["size_categories"] == [words]


def test_licences_are_counted_unknown_ones_too(fake_composites: Maker) -> None:
    _, text = _card(fake_composites(foregrounds=5, licences=(None, "CC0", "a | <b>\nc")))
    assert "| foreground_licence | unknown | 4 |" in text
    assert "| foreground_licence | CC0 | 4 |" in text
    assert "| foreground_licence | a \\| &lt;b> c | 2 |" in text
    assert "| background_licence | unknown | 10 |" in text


def test_many_licences_are_cut_and_add_up(fake_composites: Maker) -> None:
    licences = tuple(f"licence {number}" for number in range(33))
    _, text = _card(fake_composites(foregrounds=33, licences=licences))
    assert text.count("| foreground_licence | licence ") == 30
    assert "| foreground_licence | 3 others | 6 |" in text


def test_the_card_says_how_it_was_made(fake_composites: Maker) -> None:
    recipe = Recipe("fake", k=2)
    dataset = fake_composites(recipe=recipe)
    _change(dataset, lambda manifest: manifest.update(command="rssn compose --matting AM-2k --seed 0"))
    _, text = _card(dataset)
    assert "# Composites: fake" in text
    assert "8 composites of 4 foregrounds on 2 backgrounds. 0 samples were refused." in text
    assert "| command | rssn compose --matting AM-2k --seed 0 |" in text
    assert "| seed | 0 |" in text
    assert "| versions | rssn 0 |" in text
    block = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == json.loads(json.dumps(recipe.to_dict()))
    assert "Nothing was refused." in text


def test_rejects_are_counted_by_reason(fake_composites: Maker) -> None:
    dataset = fake_composites()
    reasons = ["truncated", "alpha_empty", "alpha_empty"]
    rows = [{"item_id": "x", "source": "x", "stage": "read", "reason": reason, "message": "m"} for reason in reasons]
    write_parquet(DatasetFolder(dataset).rejects_path("plan"), REJECTS, rows)
    _, text = _card(dataset)
    assert text.index("| alpha_empty | 2 |") < text.index("| truncated | 1 |")


def test_packed_photographs_are_not_called_composites(fake_composites: Maker) -> None:
    dataset = fake_composites()
    _change(dataset, lambda manifest: manifest["sources"].pop("backgrounds"))
    _, text = _card(dataset)
    assert "8 real photographs with their alpha mattes." in text
    assert "omposites of" not in text


def test_a_background_set_names_only_splits_that_have_files(bg20k: Path) -> None:
    head, text = _card(bg20k)
    files = head["configs"][0]["data_files"]
    splits = {path.name.split("-")[0] for path in (bg20k / "data").iterdir()}
    assert {item["split"]: item["path"] for item in files} == {s: f"data/{s}-*.parquet" for s in splits}
    assert "Screened for salient objects by: nobody" in text
    assert "| licence | unknown | 12 |" in text


_LOAD = """
import sys, datasets
rows = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])
for split, table in sorted(rows.items()):
    first = table[0]
    print(split, len(table), type(table.features["image"]).__name__, *first["image"].size, first["image"].mode)
"""


def _load(root: Path, cache: Path) -> list[str]:
    """What `datasets` sees in the folder, in a process of its own without a network."""
    environment = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", _LOAD, str(root), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_datasets_opens_the_folder_of_composites(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    reasons = [{"item_id": "x", "source": "x", "stage": "read", "reason": "truncated", "message": "m"}]
    write_parquet(DatasetFolder(dataset).rejects_path("plan"), REJECTS, reasons)
    write_card(DatasetFolder(dataset), filled(DatasetFolder(dataset).marks()))
    assert _load(dataset, tmp_path / "cache") == ["train 8 Image 24 16 RGB"]


@pytest.mark.slow
def test_datasets_opens_the_folder_of_backgrounds(bg20k: Path, tmp_path: Path) -> None:
    write_card(DatasetFolder(bg20k), filled(DatasetFolder(bg20k).marks()))
    lines = _load(bg20k, tmp_path / "cache")
    assert [line.split()[0] for line in lines] == ["train", "validation"]
    assert sum(int(line.split()[1]) for line in lines) == 12
    assert all("Image" in line and "120" in line for line in lines)


def test_every_column_of_a_background_set_is_explained(bg20k: Path) -> None:
    card = (bg20k / "README.md").read_text()
    lines = [line for line in card.split("## Columns")[1].split("## Licences")[0].splitlines() if line.startswith("| ")]
    assert [line[2:].split(" |")[0] for line in lines[2:]] == PUBLISHED.names
