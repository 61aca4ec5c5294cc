"""The dataset card: what is in a folder of shards, how it was made, and how to open it without us.

Floor 3. The head of the card is what Hugging Face reads, so that `load_dataset(folder)` finds the pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from bg20k.review import describe_effects
from bg20k.schema import MEANINGS
from rssn.dataset.batches import superseded
from rssn.dataset.manifest import Manifest, read_manifest
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.statistics import ColumnCounts, DistinctCounts, MatteFlags, Tally, count, count_rejects, share
from rssn.route.recipe import recipe_from_dict
from rssn.storage.atomic import write_bytes

_MOST_LICENCES = 30
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_COMPOSITES = """# Composites: {name}

{rows} composites of {foregrounds} foregrounds on {backgrounds} backgrounds. {rejected} samples were refused.
F by row: {methods} (`given` is the data set's own, everything else was computed from the photograph).

`image` is `alpha * foreground + (1 - alpha) * background`, rounded once, after the steps on the composite that were
drawn. `foreground` and `background` are stored as they were blended. {steps}
"""

_STEPS = """The column `steps` has a struct for each step of the
recipe with what it drew; null where it was not drawn.

{table}"""

_PHOTOGRAPHS = """# Photographs: {name}

{rows} real photographs with their alpha mattes. {rejected} were refused.

`image` is the photograph as it is; `foreground` and `background` are estimates of the layers that it is made of.
Nothing was composed, drawn or added.
"""

_ROUTE = """
{made}

```yaml
{recipe}```

{open}

`manifest.json` holds the recipe, the seed and the digests of everything that went in; `marks/` proves each file.

## Licences

A row inherits the licences of its foreground and its background. Rows by licence, as the columns
`foreground_licence` and `background_licence` say:

{licences}

{mattes}{refused}"""

_MATTES = """## Mattes to look at

The column `matte_flags` says which.

{doubts}

"""

_BACKGROUNDS = """# Backgrounds

{rows} photographs without salient objects, curated from {photos} files: {train} for training, {validation} for
validation. {rejected} were refused. Screened for salient objects by: {detector}.
Checked by a person: {reviewed}.

{made}

```yaml
{rules}```

{open}

Pictures have {side} px on their shorter side. `verdicts.parquet` says what became of each photograph, and why.

## Columns

{columns}

## Licences

Each photograph keeps its own. Rows by licence, as the column `licence` says:

{licences}

{refused}"""

_OPEN = """## How to open it

```python
import datasets
rows = datasets.load_dataset("path/to/this/folder", split="{split}")
rows[0]["image"]{also}   # PIL images

import pyarrow.parquet as pq
table = pq.read_table("data/{first}.parquet", columns=[{columns}])   # light columns only
```"""


def write_card(folder: DatasetFolder, shards: Iterable[str]) -> list[str]:
    """Write `README.md` from the manifest and the light columns of all marked shards that have rows.

    Returns:
        What is odd about the mattes, in sentences.
    """
    manifest = read_manifest(folder.root)
    curated = manifest.kind == "backgrounds"
    names = sorted(shards)
    licences = ColumnCounts(("licence",) if curated else ("foreground_licence", "background_licence"))
    methods, distinct = ColumnCounts(["foreground_method"]), DistinctCounts(("foreground_id", "background_id"))
    mattes = MatteFlags()
    tallies: list[Tally] = [licences] if curated else [licences, methods, distinct, mattes]
    count(folder, names, *tallies)
    facts = {
        "made": _made(manifest),
        "licences": _licences(licences.counts),
        "refused": _refused(count_rejects(folder.reject_files(), superseded(folder.root))),
    }
    if curated:
        text = _backgrounds(manifest, names, facts)
    else:
        doubts = "\n".join(f"* {_cell(one)}" for one in mattes.sentences)
        facts["mattes"] = _MATTES.format(doubts=doubts) if doubts else ""
        facts["methods"] = share(methods.counts["foreground_method"]) or "none"
        text = _composites(manifest, names, facts, distinct.counts)
    head = yaml.safe_dump(_head(curated, manifest.totals["rows"], names), sort_keys=False)
    write_bytes(folder.root / "README.md", f"---\n{head}---\n\n{text}".encode())
    return mattes.sentences


def _composites(manifest: Manifest, names: Sequence[str], facts: Mapping[str, str], distinct: Mapping[str, int]) -> str:
    recipe = manifest.plan["recipe"]
    steps = recipe_from_dict(recipe, "the manifest").steps
    table = _table(("step", "acts on", "what it does"), [(step.name, step.acts_on, step.summary()) for step in steps])
    columns = '"sample_id", "foreground_id", "background_id"'
    template = (_COMPOSITES if "backgrounds" in manifest.sources else _PHOTOGRAPHS) + _ROUTE
    return template.format(
        name=recipe["name"],
        steps=_STEPS.format(table=table) if steps else "The recipe has no other step.",
        foregrounds=distinct["foreground_id"],
        backgrounds=distinct["background_id"],
        recipe=yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None),
        open=_OPEN.format(split="train", also=', rows[0]["alpha"]', first=_first(names), columns=columns),
        **manifest.totals,
        **facts,
    )


def _backgrounds(manifest: Manifest, names: Sequence[str], facts: Mapping[str, str]) -> str:
    plan = manifest.plan
    columns = '"background_id", "width", "height", "object_score"'
    return _BACKGROUNDS.format(
        photos=plan["photos"]["count"],
        side=plan["rules"]["min_side"],
        columns=_table(("column", "meaning"), list(MEANINGS.items())),
        detector=manifest.screened_by or "nobody; salient objects may be in the pictures",
        reviewed=describe_effects(manifest.totals.get("review")),
        rules=yaml.safe_dump(plan["rules"], sort_keys=False),
        open=_OPEN.format(split=_first(names).split("-")[0], also="", first=_first(names), columns=columns),
        **manifest.totals,
        **facts,
    )


def _head(curated: bool, rows: int, names: Sequence[str]) -> dict[str, Any]:
    """The card's YAML: only splits that have files, or `load_dataset` refuses the folder."""
    prefixes = sorted({name.rsplit("-", 3)[0] for name in names})
    if curated:
        files = [{"split": prefix, "path": f"data/{prefix}-*.parquet"} for prefix in prefixes]
    else:
        files = [{"split": "train", "path": "data/*.parquet"}] if names else []
    size = next((words for limit, words in _SIZES if rows < limit), "n>1M")
    head = {"task_categories": ["image-segmentation"], "tags": ["image-matting"], "size_categories": [size]}
    return head | ({"configs": [{"config_name": "default", "data_files": files}]} if files else {})


def _made(manifest: Manifest) -> str:
    """Command, seed, versions and sources, as the manifest has them."""
    plan = manifest.plan
    facts = {
        "command": manifest.command or ("`rssn build-bg20k`" if manifest.kind == "backgrounds" else "`rssn compose`"),
        "seed": plan.get("seed", "none: nothing was drawn"),
        "sources": ", ".join(f"{name}: {path}" for name, path in manifest.sources.items()),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    return "## How it was made\n\n" + _table(("what", "value"), list(facts.items()))


def _licences(columns: Mapping[str, Counter[Any]]) -> str:
    rows: list[tuple[object, ...]] = []
    for column, counts in columns.items():
        most = counts.most_common(_MOST_LICENCES)
        rows += [(column, licence or "unknown", count) for licence, count in most]
        rest = counts.total() - sum(count for _, count in most)
        rows += [(column, f"{len(counts) - len(most)} others", rest)] if rest else []
    return _table(("column", "licence", "rows"), rows)


def _refused(reasons: Counter[str]) -> str:
    if not reasons:
        return "Nothing was refused.\n"
    rows = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return f"## What was refused\n\n`rejects/` says which and why.\n\n{_table(('reason', 'count'), rows)}\n"


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """One line that ends no cell and starts no mark-up."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _first(names: Sequence[str]) -> str:
    return names[0] if names else "train-00000-of-00001"
