from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.compose.job import prepare, run_compose
from pipelines.executor.runner import LocalRunner
from pipelines.inspect.inspect import run_inspect
from pipelines.inspect.status import status
from pipelines.output.writer import close_dataset, open_dataset, remove_dataset
from rssn.dataset.manifest import plan_digest, read_manifest, stored_manifest
from rssn.dataset.schema import REJECTS
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.dataset.verify import trusted_mark
from rssn.errors import InputError
from tests.pipelines.composing import QUICK, digests, job_of
from train.data.shards import open_set

PLAN = {"seed": 0, "recipe": {"name": "a", "denoise": {"sigma": 10.0}}}


def test_the_same_plan_goes_on_and_sources_may_move(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "out")
    open_dataset(folder.root, "composites", PLAN, {"matting": "/here"})
    open_dataset(folder.root, "composites", PLAN, {"matting": "/there"})
    close_dataset(folder.root, {"rows": 3})
    manifest = read_manifest(folder.root)
    assert manifest.sources == {"matting": "/there"}
    assert manifest.totals == {"rows": 3}
    assert manifest.plan["recipe"] == PLAN["recipe"]
    assert manifest.versions["numpy"]


def test_another_plan_is_refused_with_the_difference(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "out")
    open_dataset(folder.root, "composites", PLAN, {})
    other = {"seed": 1, "recipe": {"name": "a", "denoise": {"sigma": 5.0}}}
    expected = r"recipe\.denoise\.sigma was 10\.0, is now 5\.0; seed was 0, is now 1"
    with pytest.raises(InputError, match=expected):
        open_dataset(folder.root, "composites", other, {})


def test_another_kind_of_data_set_is_named_and_nothing_else(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    open_dataset(folder.root, "backgrounds", {"seed": 1}, {})
    with pytest.raises(InputError, match=r"holds backgrounds, not composites; choose another --out$"):
        open_dataset(folder.root, "composites", {"k": 5}, {})


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty, and not a data set of rssn"):
        open_dataset(tmp_path, "composites", PLAN, {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"damaged, not JSON: .*; restore a copy of it, or choose another --out"):
        open_dataset(tmp_path, "composites", PLAN, {})


def test_another_version_of_what_makes_the_bytes_is_refused(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "out")
    open_dataset(folder.root, "composites", PLAN, {})
    manifest = json.loads(folder.manifest_path.read_text())
    manifest["plan"]["made_by"]["numpy"] = "0.0.1"
    manifest["plan_digest"] = plan_digest(manifest["plan"])
    folder.manifest_path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"made_by\.numpy was 0\.0\.1, is now"):
        open_dataset(folder.root, "composites", PLAN, {})
    assert json.loads(folder.manifest_path.read_text()) == manifest


def test_a_run_killed_while_it_wrote_its_first_manifest_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.123.tmp").write_text("{")
    open_dataset(tmp_path, "composites", PLAN, {})
    assert stored_manifest(tmp_path).plan["seed"] == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("content", ["[]", "3", '{"foo": 1}', '{"plan": 3}', '{"plan": {}}'])
def test_somebody_elses_manifest_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    for attempt in (read_manifest, stored_manifest, lambda root: open_dataset(root, "composites", PLAN, {})):
        with pytest.raises(InputError, match=r"not a (manifest|file) of rssn"):
            attempt(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == content


def test_a_removal_that_was_interrupted_can_be_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted removal leaves is whole shards: they must not pass for shards of the next data set."""
    folder = DatasetFolder(tmp_path)
    named = open_dataset(folder.root, "composites", PLAN, {})
    write_shard(named, "composites-00000-of-00001", REJECTS, [{"item_id": "a"}], [])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_dataset(folder.root)
    monkeypatch.undo()
    assert trusted_mark(named, "composites-00000-of-00001") is not None
    with pytest.raises(InputError, match="was removed by --overwrite"):
        folder.marks()
    assert stored_manifest(folder.root) is None
    with pytest.raises(InputError, match="was removed by --overwrite"):
        read_manifest(folder.root)
    open_dataset(folder.root, "composites", {"seed": 5}, {})
    assert read_manifest(folder.root).plan["seed"] == 5
    assert folder.marks() == []
    assert not (tmp_path / "data").exists()


def test_what_overwrite_could_not_remove_counts_nowhere(
    synthetic: Path, bg20k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another seed over a set whose marks stay: were they to count, rows of the old seed stood under the new plan."""
    out = tmp_path / "out"
    jobs = [job_of(synthetic / "matting", bg20k, out, QUICK, seed, overwrite=seed > 0) for seed in (0, 7)]
    run_compose(jobs[0], LocalRunner())
    before = digests(out)
    (out / "marks").rename(tmp_path / "marks")
    (out / "marks").symlink_to(tmp_path / "marks", target_is_directory=True)
    with pytest.raises(InputError, match="out/marks: a link to a folder"):
        run_compose(jobs[1], LocalRunner())
    assert digests(out) == before, "nothing is removed where not all of it can be"
    (out / "marks").unlink()
    (tmp_path / "marks").rename(out / "marks")
    shutil.copytree(out, tmp_path / "kept")
    (out / "data" / "composites-00001-of-00003.parquet").unlink()
    (out / "data" / "composites-00001-of-00003.parquet").mkdir()
    for job in (jobs[1], replace(jobs[1], overwrite=False)):
        with pytest.raises(InputError, match=r"composites-00001-of-00003\.parquet: cannot be removed: Is a directory"):
            run_compose(job, LocalRunner())
    with pytest.raises(InputError, match="was removed by --overwrite"):
        run_inspect(out)
    with pytest.raises(InputError, match="was removed by --overwrite"):
        open_set(str(out), ("image",))
    (out / "data" / "composites-00001-of-00003.parquet").rmdir()
    for part in ("data", "marks"):
        shutil.copytree(tmp_path / "kept" / part, out / part, dirs_exist_ok=True)
    monkeypatch.setattr(DatasetFolder, "remove", lambda self: None)  # as if it had been deleted, and was not
    with prepare(jobs[1]) as prepared:
        opened = open_dataset(out, "composites", prepared.facts, {})
    assert opened.marks() == []
    assert "3 shards" not in " ".join(status(out))
    assert "has no mark; it does not count" in " ".join(run_inspect(out).problems)
    with pytest.raises(InputError, match="no finished shard"):
        open_set(str(out), ("image",))
    summary = run_compose(replace(jobs[1], overwrite=False), LocalRunner())
    assert (summary.written, summary.reused) == (6, 0)
    assert set(digests(out).values()).isdisjoint(before.values())


@pytest.mark.parametrize("change", [{"plan": {"kind": "composites", "seed": 7}}, {"sources": 3}, {"versions": None}])
def test_a_manifest_that_was_altered_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = DatasetFolder(tmp_path)
    open_dataset(folder.root, "composites", PLAN, {})
    folder.manifest_path.write_text(json.dumps(json.loads(folder.manifest_path.read_text()) | change))
    with pytest.raises(InputError, match=r"manifest\.json: damaged or edited, .*; restore a copy of it"):
        read_manifest(folder.root)
