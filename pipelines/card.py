"""The dataset card: what is in a folder of shards, how it was made, and how to open it without us."""

from __future__ import annotations

from typing import Any

from pipelines.manifest import read_manifest
from rssn.shards import DatasetFolder

_COMPOSITES = """# Composites: {recipe}

{rows} composites of {foregrounds} foregrounds on {backgrounds} backgrounds, made by `rssn compose`
(recipe `{recipe}`, seed {seed}). {rejected} samples were refused; `rejects/` says which and why.

```python
import datasets
rows = datasets.load_dataset("parquet", data_files="data/*.parquet", split="train")
rows[0]["image"], rows[0]["alpha"]   # PIL images
```

`image` is `alpha * foreground + (1 - alpha) * background`, rounded once, plus Gaussian noise where `noise_sigma` is
above 0. `foreground` and `background` are stored as they were blended, before noise. `manifest.json` holds the
recipe, the seed and the digests of everything that went in; `marks/` proves each file.

Licences: the composites inherit those of the foregrounds and backgrounds; the columns `foreground_licence` and
`background_licence` hold what is known of each.
"""

_BACKGROUNDS = """# Backgrounds

{rows} photographs without salient objects, curated by `rssn build-bg20k` from {photos} files:
{train} for training, {validation} for validation. {rejected} were refused; `rejects/` and `verdicts.parquet` say
which and why. Screened for salient objects by: {detector}.

```python
import datasets
rows = datasets.load_dataset("parquet", data_files={{"train": "data/train-*.parquet"}}, split="train")
rows[0]["image"]   # a PIL image, {side} px on its shorter side
```

Licences: each photograph keeps its own; the column `licence` holds what is known.
"""


def write_card(folder: DatasetFolder) -> None:
    """Write `README.md` from the manifest."""
    manifest = read_manifest(folder)
    plan, totals = manifest["plan"], manifest["totals"]
    if plan["kind"] == "composites":
        text = _COMPOSITES.format(**_composite_facts(plan), **totals)
    else:
        text = _BACKGROUNDS.format(**_background_facts(plan), **totals)
    (folder.root / "README.md").write_text(text, encoding="utf-8")


def _composite_facts(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": plan["recipe"]["name"],
        "seed": plan["seed"],
        "foregrounds": plan["foregrounds"]["count"],
        "backgrounds": plan["backgrounds"]["count"],
    }


def _background_facts(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "photos": plan["photos"]["count"],
        "side": plan["rules"]["min_side"],
        "detector": plan["detector"] or "nobody; salient objects may be in the pictures",
    }
