"""`rssn gap --fit`: a recipe's steps fitted to photographs: what can be read off them first, then a search.

Half of the foregrounds decides; the meter then measures the recipe before and after on the other half, which no choice
has seen. A run that was stopped goes on where it was, by the recipes that it has tried already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from pipelines.compose.naming import name_foregrounds
from pipelines.compose.plan import Plan, PlannedForeground, make_plan
from pipelines.executor.warm_up import warm_up
from pipelines.gap.files import LOG, check_writable, figures_of, open_out
from pipelines.gap.job import run_gap
from pipelines.gap.result import GapJob, Result
from pipelines.gap.search import LEAST, Change, FitJob, Search, Trials, descend, workers
from pipelines.gap.sources import Source
from rssn.dataset.manifest import holds_dataset
from rssn.errors import InputError, Rejected
from rssn.gap.classifiers import one_thread
from rssn.gap.folds import by_hash
from rssn.gap.measure import DISTANCE
from rssn.progress import Progress
from rssn.route.observed import Observation, Observed, observe
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.storage.atomic import write_bytes
from rssn.storage.documents import counted
from rssn.storage.location import Location
from rssn.storage.remote import content

MADE_BY = "fitted by rssn gap"


@dataclass(frozen=True)
class Fitted:
    """What came out.

    Attributes:
        recipe: The best that was found.
        path: How it was found; the first is the recipe as it was given.
        tried: How many recipes were measured.
        result: The meter's figures before and after, on the half that decided nothing.
        left_out: Files that take no part in the fit, and photographs of the first half that cannot be measured.
        key: Names the fit: its photographs, backgrounds, given recipe and settings.
    """

    recipe: Recipe
    path: Sequence[Change]
    tried: int
    result: Result
    left_out: Sequence[str]
    key: str

    @property
    def verdict(self) -> str:
        """What the half that decided nothing says of the fitted recipe."""
        before, after = self.result.gap.sets
        change = next(each for each in self.result.gap.differences if each.figure == DISTANCE)
        way = "farther from" if change.change.low > 0 else "nearer to"
        says = "shows" if change.differs else "does not show"
        numbers = f"distance {before.distance.area.value:.3f} before, {after.distance.area.value:.3f} after"
        return f"the other half {says} that the fitted recipe is {way} photographs: {numbers}, change {change.change}"


def run_fit(job: FitJob, path: Location) -> Fitted:
    """Fit, measure the other half, and write the files of `rssn gap`.

    Args:
        job: What is asked for.
        path: The fitted recipe's file, see `write_recipe`; the recipe has its name.

    Raises:
        DependencyError: If scikit-learn, or a package that a step needs, is not installed.
        InputError: If an input, the name or the output cannot be used, there are too few photographs, or the recipe
            merges.
    """
    recipe, name = job.recipe, path.stem
    if replace(recipe, name=name) == recipe:
        raise InputError(f"the fitted recipe would be called {name}, as the given one; write it to another file name")
    if any(step.takes_other for step in recipe.drawn):
        raise InputError(f"the recipe {recipe.name} merges foregrounds, which no half holds alone; fit it without")
    if holds_dataset(job.photographs):
        words = "holds a data set; --fit composes itself, from the matting data set that it was made from"
        raise InputError(f"{job.photographs}: {words}")
    open_out(job.out, fit=True)
    check_write(path)
    job.out.mkdir(parents=True, exist_ok=True)
    left_out: list[str] = []
    ours, theirs = halves(job, left_out)
    trials = Trials(job, ours)
    _refuse_other_fit(job.out, path, trials.key)
    warm_up(recipe)
    with one_thread(), workers() as pool, Progress(job.trials, "recipes", "fitting") as progress:
        search = Search(trials, job.out / LOG, pool, progress.advance)
        if search.reused:
            progress.say(f"{counted(search.reused, 'recipe')} were tried by an earlier run, and are not tried again")
        best, found = descend(search, recipe, read_off(recipe, ours.foregrounds))
    best = replace(best, name=name)
    sets: dict[str, Source] = {recipe.name: trials.source(recipe, theirs), name: trials.source(best, theirs)}
    fit = {
        "fitted": f"{recipe.name} into {name}",
        "recipes_tried": search.tried,
        "photographs_that_decided": len(ours.foregrounds),
        "photographs_that_judge": len(theirs.foregrounds),
        "discrepancy_before": found[0].far,
        "discrepancy_after": found[-1].far,
        "key": trials.key,
    }
    judged = GapJob(sets, trials.photographs(theirs), job.out, job.at, job.seed, fit)
    result = run_gap(judged, least=LEAST)
    return Fitted(best, found, search.tried, result, [*left_out, *search.skipped], trials.key)


def _refuse_other_fit(out: Location, path: Location, key: str) -> None:
    """Write over nothing but what this fit wrote.

    Raises:
        InputError: Naming folder or file.
    """
    earlier = figures_of(out)
    if earlier is not None and earlier.get("fit", {}).get("key") != key:
        raise InputError(f"{out}: holds figures of other inputs or settings; choose another --out")
    if path.exists() and _key_line(key) not in content(path).decode(errors="replace").splitlines():
        raise InputError(f"{path}: a recipe that was fitted by other inputs or settings; choose another --write")


def _key_line(key: str) -> str:
    return f"# fit {key}"


def halves(job: FitJob, left_out: list[str]) -> tuple[Plan, Plan]:
    """The photographs that decide, and those that judge: at most so many, by a hash of their content.

    Args:
        job: What is asked for.
        left_out: Is told what cannot be used, a sentence each.

    Raises:
        InputError: If there are too few of them, or of backgrounds.
    """
    matting = find_pairs(job.photographs, job.layout, job.out, job.alpha_scale)
    pairs = [pair for pair in matting.pairs if pair.image is not None]
    found, refused = name_foregrounds(pairs, job.recipe.foreground)
    stored, unusable = find_backgrounds(job.backgrounds, without=job.out)
    backgrounds = list(stored)  # drawn from again and again
    left_out += [f"{each.source}: {each.message}" for each in (*matting.problems, *unusable)]
    left_out += [f"{row['source']}: {row['message']}" for row in refused]
    left_out += [f"{pair.source}: has no photograph" for pair in matting.pairs if pair.image is None]
    if len(backgrounds) < job.recipe.k:
        raise InputError(f"{job.backgrounds}: {len(backgrounds)} backgrounds, but K = {job.recipe.k} needs that many")
    members = {one.foreground_id: one for one in found}
    order = by_hash(members, "fit")[: job.foregrounds]
    if len(order) < 2 * LEAST:
        words = f"{job.photographs}: {len(order)} photographs with mattes can be composed"
        raise InputError(f"{words}; --fit needs {2 * LEAST} or more, {LEAST} for each half")
    first = (len(order) + 1) // 2
    ours, theirs = ([members[name] for name in part] for part in (order[:first], order[first:]))
    return make_plan(ours, backgrounds), make_plan(theirs, backgrounds)


def read_off(recipe: Recipe, photographs: Sequence[PlannedForeground]) -> Recipe:
    """The recipe with all that its steps can read off photographs."""
    observed = Observed(list(_observations(photographs)))
    return replace(recipe, steps=tuple(step.fitted_to(observed) for step in recipe.steps))


def _observations(photographs: Sequence[PlannedForeground]) -> Iterator[Observation]:
    with Progress(len(photographs), "photographs", "reading", stays=False) as progress:
        for planned in photographs:
            try:
                sample = planned.load()
                yield observe(planned.pair.picture.read(), sample.picture, sample.alpha)
            except Rejected:
                pass  # the meter names it, see `Search.skipped`
            progress.advance()


def write_recipe(fitted: Fitted, path: Location, photographs: str) -> None:
    """Write the recipe as YAML, with what it was fitted to."""
    before, after = fitted.path[0].far, fitted.path[-1].far
    head = [
        f"{MADE_BY}: {fitted.tried} recipes were tried on half of {photographs}",
        f"discrepancy there (mean of the letters', in deviations; 0: none): {before:.3f} before, {after:.3f} after",
        *(f"{one.name}: distance to the other half {one.distance.area}" for one in fitted.result.gap.sets),
        fitted.verdict,
        *(f"{change.words}: {change.far:.3f}" for change in fitted.path),
    ]
    text = "".join(f"# {line}\n" for line in head) + f"{_key_line(fitted.key)}\n"
    write_bytes(
        path, (text + yaml.safe_dump(fitted.recipe.to_dict(), sort_keys=False, default_flow_style=None)).encode()
    )


def check_write(path: Location) -> None:
    """Refuse a file that something else wrote, or that cannot be written.

    Raises:
        InputError: Naming it.
    """
    if path.exists() and not (path.is_file() and content(path).startswith(f"# {MADE_BY}".encode())):
        raise InputError(f"{path}: exists, and is no recipe that was fitted; choose another --write")
    check_writable(path.parent, "--write")
