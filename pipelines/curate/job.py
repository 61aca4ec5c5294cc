"""`rssn build-bg20k`: photographs of a crawl in, a background set out (section 4.1).

Four steps. Examine: one task per range of photographs fills `candidates/`. Compare: one task per range of pairs lays
photographs over each other of which one may be a copy. Decide: the driver compares light columns of all candidates,
looks for marks that photographs share, applies a person's decisions, and writes `verdicts.parquet`. Publish: one task
per candidate shard and split copies what was kept into `data/`. Tasks are not made again; what the driver does itself,
finding pairs and marks included, each run does again. It never holds a picture or a list of all names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from bg20k.decide import KnownSet, decide, find_marks
from bg20k.measures import measured_in_crawl
from bg20k.onnx_model import Scaling
from bg20k.records import Crawl
from bg20k.review import Decision, apply_review
from bg20k.rules import CurationRules
from bg20k.schema import VERDICTS
from bg20k.verdict import Verdict
from pipelines.curate.compare import compare_shard, load_copies, plan_pairs
from pipelines.curate.decisions import SOURCE, decided_by, decisions_to_apply, effects, outdated_shards
from pipelines.curate.examine import ExamineTask, Models, examine_shard
from pipelines.curate.known_set import known_facts, load_known
from pipelines.curate.listing import CrawlListing, list_crawl
from pipelines.curate.marks import stored_edges
from pipelines.curate.publish import PublishTask, publish_shard
from pipelines.curate.replaced import refuse_replaced
from pipelines.curate.rows import (
    LIGHT,
    ORIGIN,
    candidates_folder,
    judged_facts,
    photos_plan,
    records,
    verdicts_path,
)
from pipelines.executor.runner import Runner, shard_ranges
from pipelines.executor.work import ErrorBudget, RunSummary, Work, run_tasks
from pipelines.output.card import write_card
from pipelines.output.writer import check_dataset, close_dataset, open_dataset, refuse_foreign
from pipelines.review.log import review_path
from rssn.dataset.manifest import screened_by, stored_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import PLANNED_PHOTOS
from rssn.dataset.shards import DatasetFolder, shard_name
from rssn.errors import Rejected
from rssn.storage.files import write_parquet
from rssn.storage.lease import hold_lease
from rssn.storage.location import Location

SPLITS = ("train", "validation")
PHOTOS_PER_SHARD = 400
"""About 256 MiB of photographs of 1080 px."""

_LIGHT_VERDICT = ("source", "background_id", "candidate_shard", "keep", "stage", "reason", "message", "split")


@dataclass(frozen=True)
class CurationJob:
    """The inputs and settings of one `rssn build-bg20k`."""

    photos: Location  # a folder, an archive or a table, see rssn.sources.crawl
    out: Location
    rules: CurationRules
    detector: Location | None
    budget: ErrorBudget
    apply_review: bool | None = None  # None: as the last run did
    against: Location | None = None  # an existing set: what it holds is rejected
    saliency: Location | None = None  # a class-free network, ONNX
    saliency_scaling: Scaling = "imagenet"
    deep_duplicates: str | None = None  # see bg20k.embedding.load_embedder
    log: Callable[[str], None] = lambda _: None  # is called with messages for people

    @property
    def models(self) -> Models:
        """The networks that look at each photograph."""
        return Models(self.detector, self.saliency, self.deep_duplicates, self.saliency_scaling)


@dataclass(frozen=True)
class Curated:
    """The result of a curation."""

    summary: RunSummary
    reasons: Counter[str]  # photographs by reason, those kept included
    splits: Counter[str]  # kept photographs by split
    review: Mapping[str, int] | None = None  # what a person's decisions did; None where none were applied


def run_curation(job: CurationJob, runner: Runner) -> Curated:
    """Curate the photographs of a crawl.

    Raises:
        InputError: If the photographs, a network, the set to check against, the review or the output folder cannot be
            used, another run works on the folder, or the budget is spent.
        DependencyError: If a network's package is not installed.
    """
    refuse_foreign(job.out)
    with hold_lease(job.out):
        return _curate(job, runner)


def _curate(job: CurationJob, runner: Runner) -> Curated:
    known = load_known(job.against)
    with list_crawl(job.photos, job.out) as crawl:
        return _curate_listed(job, known, crawl, runner)


def _curate_listed(job: CurationJob, known: KnownSet, crawl: CrawlListing, runner: Runner) -> Curated:
    facts = plan_facts(job, known, crawl)
    decisions = decisions_to_apply(DatasetFolder(job.out), job.apply_review)
    if stored_manifest(job.out):
        check_dataset(job.out, "backgrounds", facts)
        _refuse_replaced(job, crawl, facts)
    folder = open_dataset(job.out, "backgrounds", facts, _sources(job, decisions))
    write_parquet(photos_plan(job.out), PLANNED_PHOTOS, crawl.rows())
    examined = run_tasks(_examine_work(job, folder, facts), runner)
    if examined.failed:
        return Curated(examined, Counter(), Counter())
    listed = _crawl(job, candidates_folder(folder))
    compared, tasks = plan_pairs(folder, job.against, listed, known, job.rules)
    looked = run_tasks(Work(compared, tasks, compare_shard, "pairs", ErrorBudget(), 0), runner)
    if looked.failed:
        return Curated(looked, Counter(), Counter())
    copies = load_copies(tasks, listed, known, job.rules)
    with stored_edges(folder) as edges:
        listed = find_marks(listed, edges, job.rules, known, copies)
    judge = partial(decide, rules=job.rules, known=known, copies=copies)
    judged = apply_review(listed, decisions or {}, job.rules, judge)
    write_parquet(
        verdicts_path(job.out), VERDICTS, _verdicts(job, candidates_folder(folder), decisions or {}, listed, judged)
    )
    summary = run_tasks(_publish_work(job, folder, screened_by(facts)), runner)
    for before in (examined, looked):
        summary.damaged += before.damaged
        summary.seconds.update(before.seconds)
        summary.peak_bytes = max(summary.peak_bytes, before.peak_bytes)
    summary.unread = {"photos": crawl.unread} if crawl.unread else {}
    curated = _count(job, summary, decisions)
    if not summary.failed:
        _close(folder, curated)
    return curated


def _refuse_replaced(job: CurationJob, crawl: CrawlListing, facts: Mapping[str, Any]) -> None:
    folder = DatasetFolder(job.out)
    read = refuse_replaced(folder, crawl, _examine_work(job, folder, facts).tasks)
    if read:
        words = "have another time or place on disk than before; their content was compared and is the same"
        job.log(f"{read} photographs {words}")


def _close(folder: DatasetFolder, curated: Curated) -> None:
    totals: dict[str, Any] = {"rows": curated.splits.total(), "rejected": curated.summary.rejected}
    totals |= {split: curated.splits[split] for split in SPLITS}
    close_dataset(folder.root, totals | {"review": curated.review, "unread": curated.summary.unread})
    write_card(folder, curated.summary.shards)


def plan_facts(job: CurationJob, known: KnownSet, crawl: CrawlListing) -> dict[str, Any]:
    """Everything that decides the rows, for the manifest.

    Args:
        job: The job.
        known: The set that it is checked against.
        crawl: Its photographs.

    Raises:
        InputError: If a network cannot be used.
        DependencyError: If a network's package is not installed.
    """
    return {"rules": asdict(job.rules), **job.models.names(), "against": known_facts(known), "photos": crawl.facts}


def _sources(job: CurationJob, decisions: Mapping[str, Decision] | None) -> dict[str, str]:
    sources = {"photos": str(job.photos.resolve())}
    if job.against:
        sources["against"] = str(job.against.resolve())
    return sources if decisions is None else sources | {SOURCE: str(review_path(job.out).resolve())}


def _count(job: CurationJob, summary: RunSummary, decisions: Mapping[str, Decision] | None) -> Curated:
    """Count the verdicts."""
    reasons: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    for row in _light_verdicts(job.out):
        reasons[row["reason"]] += 1
        splits[row["split"]] += row["keep"]
    summary.rejected = reasons.total() - splits.total()
    review = None if decisions is None else effects(decisions, _light_verdicts(job.out))
    return Curated(summary, reasons, +splits, review)


def _light_verdicts(out: Location) -> Iterator[dict[str, Any]]:
    return iter_rows(verdicts_path(out), _LIGHT_VERDICT)


def _examine_work(job: CurationJob, folder: DatasetFolder, facts: Mapping[str, Any]) -> Work[ExamineTask]:
    ranges = shard_ranges([1] * facts["photos"]["count"], PHOTOS_PER_SHARD)
    tasks = [
        ExamineTask(folder, job.rules, shard_name("candidates", index, len(ranges)), start, stop, job.models)
        for index, (start, stop) in enumerate(ranges)
    ]
    return Work(candidates_folder(folder), tasks, examine_shard, "photos", job.budget, 0)


def _crawl(job: CurationJob, folder: DatasetFolder) -> Crawl:
    """Every candidate as the global stages see it, shard by shard."""
    return Crawl.of(record for mark in folder.marks() for record in records(folder, mark.name, job.rules))


def _verdicts(
    job: CurationJob,
    folder: DatasetFolder,
    decisions: Mapping[str, Decision],
    crawl: Crawl,
    found: Iterable[Verdict],
) -> Iterator[dict[str, Any]]:
    """The rows of the verdicts, shard by shard; of each shard first those that could not be read."""
    judged = zip(crawl, found, strict=True)
    for name in (mark.name for mark in folder.marks()):
        for row in iter_rows(folder.rejects_path(name)):
            refused = Verdict.refused(Rejected(row["stage"], row["reason"], row["message"]))
            facts = {"candidate_shard": name, "decided_by": decided_by({**row, "background_id": None}, decisions)}
            yield {column: row[column] for column in ORIGIN} | facts | asdict(refused)
        for row in iter_rows(folder.data(name), LIGHT):
            facts = {"candidate_shard": name, "decided_by": decided_by(row, decisions)}
            record, verdict = next(judged)
            yield judged_facts(row | measured_in_crawl(record), job.rules) | facts | asdict(verdict)


def _publish_work(job: CurationJob, folder: DatasetFolder, screeners: str | None) -> Work[PublishTask]:
    kept: Counter[tuple[str, str]] = Counter()
    shards: set[str] = set()
    for row in _light_verdicts(job.out):
        shards.add(row["candidate_shard"])
        kept[row["candidate_shard"], row["split"]] += row["keep"]
    tasks = [
        PublishTask(folder, job.rules, screeners, shard_name(split, index, len(shards)), name, split, kept[name, split])
        for split in SPLITS
        for index, name in enumerate(sorted(shards))
    ]
    redo = outdated_shards(folder, tasks, _light_verdicts(job.out))  # a review changes verdicts of shards that are done
    return Work(folder, tasks, publish_shard, "backgrounds", ErrorBudget(), 0, redo=redo)
