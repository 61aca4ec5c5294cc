"""The card of exported Parquet shards: what Hugging Face reads of the splits, and what a person wants to know.

Unlike the data set's own card it names no file of this machine, and none that was not exported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.export.source import Source
from rssn.dataset.rows import own_parquet
from rssn.dataset.statistics import ColumnCounts, count

_MOST = 30

_CARD = """# {title}

{rows} rows, exported by `rssn export --format hf`. Pictures are stored as they were made; nothing was encoded again.

```python
import datasets

rows = datasets.load_dataset("path/to/this/folder", split="{split}")
rows[0]["image"]   # a PIL image
```

{settings_title}

```yaml
{settings}```

## Columns

{columns}

## Licences

{licences}
"""


def write_card(source: Source, splits: Mapping[str, int], path: Path) -> None:
    """Write `README.md`.

    Args:
        source: The data set.
        splits: How many files each has.
        path: The file.
    """
    curated = source.data.manifest.kind == "backgrounds"
    settings = source.data.manifest.plan["rules" if curated else "recipe"]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in sorted(splits)]
    head = {
        "task_categories": ["image-segmentation"],
        "tags": ["image-matting"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    what = "Composites" if "backgrounds" in source.data.manifest.sources else "Photographs"
    with own_parquet(source.shards[0].path) as first:
        columns = first.schema_arrow.names
    text = _CARD.format(
        title="Backgrounds" if curated else f"{what}: {settings['name']}",
        rows=sum(shard.mark.rows for shard in source.shards),
        split=min(splits),
        settings_title="## Curated by these rules" if curated else "## Made by this recipe",
        settings=yaml.safe_dump(settings, sort_keys=False),
        columns=", ".join(f"`{name}`" for name in columns),
        licences=_licences(source, ("licence",) if curated else ("foreground_licence", "background_licence")),
    )
    path.write_text(f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{text}", encoding="utf-8")


def _licences(source: Source, columns: tuple[str, ...]) -> str:
    """Rows by licence: a row inherits those of its foreground and its background."""
    count(source.data, [shard.mark.name for shard in source.shards], licences := ColumnCounts(columns))
    return "\n".join(_line(column, values) for column, values in licences.counts.items())


def _line(column: str, values: Counter[Any]) -> str:
    most = [f"{_plain(licence or 'unknown')} ({count} rows)" for licence, count in values.most_common(_MOST)]
    more = f", and {len(values) - _MOST} others" if len(values) > _MOST else ""
    return f"* `{column}`: {', '.join(most)}{more}"


def _plain(text: str) -> str:
    """One line without mark-up."""
    return " ".join(text.split()).replace("<", "&lt;")
