"""`rssn gap --fit` as a user runs it: on rendered photographs that were compressed, with a recipe that is far off."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image as PillowImage

from pipelines.cli import main
from pipelines.compose.job import Output, run_compose
from pipelines.compose.plan import load_plan
from pipelines.executor.runner import LocalRunner
from pipelines.gap.composed import Composed
from pipelines.gap.fit import halves, read_off
from pipelines.gap.search import FitJob
from rssn.dataset.manifest import Manifest, write_manifest
from rssn.errors import InputError
from rssn.image.arrays import encode_png, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.route.recipe import Recipe, load_recipe, parse_recipe
from rssn.route.steps.harmonise import Harmonise
from rssn.route.steps.jpeg import Jpeg
from rssn.route.steps.noise import Noise
from rssn.synthetic import render_background, render_shot
from tests.bucket import Store
from tests.hitting import Command
from tests.pipelines.composing import NO_CACHE, job_of, rows

pytest.importorskip("sklearn")

RECIPE = """
name: far
k: 2
foreground: multiply
max_upscale: 3
steps:
  - blend
  - noise: {probability: 1.0, sigma: 30}
  - jpeg: {probability: 0.0}
"""
SHOTS = 7


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compressed at quality 85, 4:2:0."""
    root = tmp_path_factory.mktemp("photographs")
    for part in ("original", "mask", "behind"):
        (root / part).mkdir()
    for number in range(SHOTS):
        shot = render_shot(2 * number, 480, 360)
        share = shot.alpha[..., None]
        scene = to_uint8(share * shot.foreground + (1 - share) * render_background(100 + number, 480, 360))
        file = io.BytesIO()
        PillowImage.fromarray(scene).save(file, "JPEG", quality=85, subsampling=2)
        (root / "original" / f"{number}.jpg").write_bytes(file.getvalue())
        (root / "mask" / f"{number}.png").write_bytes(encode_png(to_uint8(shot.alpha)))
    return root


@pytest.fixture(scope="module")
def backgrounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("backgrounds")
    for number in range(6):
        (root / f"{number}.png").write_bytes(encode_png(to_uint8(render_background(200 + number, 520, 400))))
    return root


def job(photographs: Path, backgrounds: Path, foregrounds: int = 500) -> FitJob:
    recipe = parse_recipe(RECIPE, "r")
    return FitJob(photographs, backgrounds, recipe, Path("unused"), NO_CACHE, 14, foregrounds, codec="png")


def fit(folder: Path, photographs: Path, backgrounds: Path, *more: str) -> Result:
    (folder / "far.yaml").write_text(RECIPE)
    words = ["gap", "--real", photographs, "--backgrounds", backgrounds, "--out", folder / "out", "--seed", "0"]
    words += ["--fit", folder / "far.yaml", "--write", folder / "near.yaml", "--image-codec", "png", "--trials", "14"]
    words += ["--cache-dir", folder / "cache", *more]
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.slow
def test_a_recipe_is_fitted_and_a_second_run_tries_nothing_again(
    photographs: Path, backgrounds: Path, tmp_path: Path
) -> None:
    done = fit(tmp_path, photographs, backgrounds)
    assert done.exit_code == 0, done.output
    near = load_recipe(str(tmp_path / "near.yaml"))
    steps = {step.name: step for step in near.steps}
    assert near.name == "near"
    assert "noise" not in steps or steps["noise"].probability < 1 or steps["noise"].sigma < 10  # type: ignore[attr-defined]
    jpeg = steps["jpeg"]
    assert isinstance(jpeg, Jpeg)
    assert jpeg.subsampling == ("4:2:0",)
    log = (tmp_path / "out" / "fit.jsonl").read_text()
    tried = [json.loads(line) for line in log.splitlines()]
    assert 3 <= len(tried) <= 14
    path = [float(line.split()[0]) for line in done.stdout.splitlines() if line[:2] == "0." or line[:2] == "1."]
    assert path == sorted(path, reverse=True)
    assert path[-1] < 0.8 * path[0]
    figures = json.loads((tmp_path / "out" / "gap.json").read_text())
    assert list(figures["sets"]) == ["far", "near"]
    assert {one["foregrounds"] for one in figures["sets"].values()} == {SHOTS // 2}
    assert figures["sets"]["near"]["distance"]["value"] <= figures["sets"]["far"]["distance"]["value"]
    fit_facts, page = figures["fit"], (tmp_path / "out" / "gap.html").read_text()
    assert (fit_facts["fitted"], fit_facts["photographs_that_decided"], fit_facts["photographs_that_judge"]) == (
        "far into near",
        SHOTS - SHOTS // 2,
        SHOTS // 2,
    )
    assert [fit_facts["discrepancy_before"], fit_facts["discrepancy_after"]] == pytest.approx(
        [path[0], path[-1]], abs=6e-4
    )
    assert "a fit, judged by the half that decided nothing</h1>" in page
    assert "<th>photographs that judge</th><td>3</td>" in page
    change = figures["differences"][[one["figure"] for one in figures["differences"]].index("distance")]
    says = "shows" if change["differs"] else "does not show"
    verdict = f"the other half {says} that the fitted recipe is nearer to photographs: distance "
    assert verdict in done.stdout
    assert f"# {verdict}" in (tmp_path / "near.yaml").read_text()
    assert "discrepancy of the half that decided (mean of the letters', in deviations; 0: none):" in done.stdout
    assert "not tried again" not in done.stderr
    again = fit(tmp_path, photographs, backgrounds)
    assert again.exit_code == 0, again.output
    assert again.stdout == done.stdout
    assert f"{len(tried)} recipes were tried by an earlier run, and are not tried again" in again.stderr
    for other, words in (
        ("out", "out: holds figures of other inputs"),
        ("out2", "near.yaml: a recipe that was fitted"),
    ):
        seeded = fit(tmp_path, photographs, backgrounds, "--seed", "1", "--out", str(tmp_path / other))
        assert (seeded.exit_code, words in seeded.stderr) == (1, True), seeded.stderr
    plain = CliRunner().invoke(main, ["gap", str(tmp_path), "--real", str(photographs), "--out", str(tmp_path / "out")])
    assert "out: holds a fit, whose page and figures would be lost; choose another --out" in plain.stderr
    assert (tmp_path / "out" / "fit.jsonl").read_text() == log
    cut = log[: len(log) // 2]  # as a kill leaves it
    (tmp_path / "out" / "fit.jsonl").write_text(cut)
    assert fit(tmp_path, photographs, backgrounds).stdout == done.stdout


@pytest.mark.slow
def test_everything_may_lie_in_a_bucket(
    photographs: Path, backgrounds: Path, s3: Store, bucket: str, tmp_path: Path
) -> None:
    here = fit(tmp_path, photographs, backgrounds, "--trials", "3")
    assert here.exit_code == 0, here.output
    for name, root in (("photos", photographs), ("behind", backgrounds)):
        for path in filter(Path.is_file, root.rglob("*")):
            s3.put(f"{bucket}/{name}/{path.relative_to(root)}", path.read_bytes())
    s3.put(f"{bucket}/far.yaml", RECIPE.encode())
    places = {
        "--real": "photos",
        "--backgrounds": "behind",
        "--fit": "far.yaml",
        "--out": "out",
        "--write": "near.yaml",
    }
    more = ["--trials", "3", *(word for name, place in places.items() for word in (name, f"{bucket}/{place}"))]
    done = fit(tmp_path, photographs, backgrounds, *more)
    assert done.exit_code == 0, done.output
    figures = [line for line in here.stdout.splitlines() if "look at" not in line and "near.yaml" not in line]
    assert [line for line in done.stdout.splitlines() if str(bucket) not in line] == figures
    assert done.stdout.splitlines()[-1] == f"the fitted recipe: {bucket}/near.yaml"
    assert s3.names(f"{bucket}/out") == {"fit.jsonl", "gap.html", "gap.json", "gap.parquet"}
    assert load_recipe(f"{bucket}/near.yaml") == load_recipe(str(tmp_path / "near.yaml"))
    log = s3.get(f"{bucket}/out/fit.jsonl")
    rows = [
        [json.loads(line) for line in each.splitlines()] for each in (log, (tmp_path / "out/fit.jsonl").read_bytes())
    ]
    assert [[row["label"], row["far"]] for row in rows[0]] == [[row["label"], row["far"]] for row in rows[1]]
    s3.put(f"{bucket}/out/fit.jsonl", log[:-40])  # the last trial was not uploaded
    again = fit(tmp_path, photographs, backgrounds, *more)
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert f"{len(rows[0]) - 1} recipes were tried by an earlier run, and are not tried again" in again.stderr
    other = fit(tmp_path, photographs, backgrounds, *more, "--seed", "1")
    assert f"{bucket}/out: holds figures of other inputs" in other.stderr
    s3.put(f"{bucket}/near.yaml", b"name: mine")
    refused = fit(tmp_path, photographs, backgrounds, *more)
    assert f"{bucket}/near.yaml: exists, and is no recipe that was fitted; choose another --write" in refused.stderr


def test_a_run_that_took_over_is_said(s3: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        owner = {"host": "elsewhere", "pid": 1, "since": time.time(), "renewed": time.time()}
        for _ in range(300):  # a renewal may be on its way
            s3.put(f"{bucket}/out/.lease.json", json.dumps(owner).encode())
            time.sleep(0.2)

    monkeypatch.setattr("rssn.storage.lease.RENEWED_SECONDS", 0.05)
    monkeypatch.setattr("pipelines.commands.gap.run_fit", lose)
    done = fit(tmp_path, tmp_path, tmp_path, "--out", f"{bucket}/out")
    assert (done.exit_code, f"Error: {bucket}/out: another run took over" in done.stderr) == (1, True), done.stderr


@pytest.mark.slow
def test_the_halves_share_nothing_and_are_the_same_again(photographs: Path, backgrounds: Path) -> None:
    left_out: list[str] = []
    ours, theirs = halves(job(photographs, backgrounds), left_out)
    assert left_out == []
    names = [[one.foreground_id for one in half.foregrounds] for half in (ours, theirs)]
    assert [len(each) for each in names] == [4, 3]
    assert not set(names[0]) & set(names[1])
    fewer = halves(job(photographs, backgrounds, 6), [])
    chosen = [one.foreground_id for half in fewer for one in half.foregrounds]
    assert chosen == [*names[0], *names[1]][:6]
    with pytest.raises(InputError, match="5 photographs with mattes can be composed; --fit needs 6 or more, 3 for"):
        halves(job(photographs, backgrounds, 5), [])


@pytest.mark.slow
def test_what_the_files_say_is_read_off(photographs: Path, backgrounds: Path) -> None:
    given = job(photographs, backgrounds)
    steps = {step.name: step for step in read_off(given.recipe, halves(given, [])[0].foregrounds).steps}
    assert steps["jpeg"] == Jpeg(1.0, quality=(85, 85), subsampling=("4:2:0",))
    noise = steps["noise"]
    assert isinstance(noise, Noise)
    assert noise.sigma < 10


@pytest.fixture
def broken(photographs: Path, tmp_path: Path) -> Path:
    """The same with a matte that belongs to nothing."""
    root = tmp_path / "broken"
    shutil.copytree(photographs, root)
    (root / "mask" / "stray.png").write_bytes((root / "mask" / "0.png").read_bytes())
    return root


def test_what_takes_no_part_is_said(broken: Path, backgrounds: Path) -> None:
    left_out: list[str] = []
    halves(job(broken, backgrounds), left_out)
    assert [words.partition(":")[0] for words in left_out] == ["mask/stray.png"]


def running(folder: Path, photographs: Path, backgrounds: Path) -> Command:
    (folder / "far.yaml").write_text(RECIPE)
    words = ["gap", "--real", photographs, "--backgrounds", backgrounds, "--out", folder / "out", "--seed", "0"]
    words += ["--fit", folder / "far.yaml", "--write", folder / "near.yaml", "--image-codec", "png", "--trials", "99"]
    return Command("pipelines.cli", [*words, "--cache-dir", folder / "cache"], folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_fit_that_is_stopped_leaves_no_process_and_says_that_it_resumes(
    photographs: Path, backgrounds: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C reaches its processes, too; a kill reaches the command alone."""
    command, log = running(tmp_path, photographs, backgrounds), tmp_path / "out" / "fit.jsonl"
    with command.running() as process:
        while not (log.is_file() and log.read_text().count("\n") >= 3):
            assert process.poll() is None, command.said()
            time.sleep(0.05)
        for pid in [process.pid] if number == signal.SIGKILL else command.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    assert "Traceback" not in command.said()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert command.said().endswith(f"stopped by {number.name}; run the same command again to resume\n")


def test_a_name_that_cannot_be_is_refused_before_the_work(photographs: Path, backgrounds: Path, tmp_path: Path) -> None:
    done = fit(tmp_path, photographs, backgrounds, "--write", str(tmp_path / "a b.yaml"))
    assert (done.exit_code, "name is 'a b'; expected a text" in done.stderr) == (1, True)
    same = tmp_path / "other" / "far.yaml"
    done = fit(tmp_path, photographs, backgrounds, "--write", str(same))
    assert done.exit_code == 1
    assert "the fitted recipe would be called far, as the given one; write it to another file name" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_composites_in_memory_are_those_that_compose_stores(
    photographs: Path, backgrounds: Path, tmp_path: Path
) -> None:
    recipe = Recipe("r", k=2, foreground="multiply", max_upscale=3.0, steps=(Harmonise(), Noise()))
    given = job_of(photographs, backgrounds, tmp_path / "out", recipe, output=Output("png"))
    run_compose(given, LocalRunner())
    source = Composed(photographs, load_plan(given.out), recipe, 0, "png", NO_CACHE)
    made = {name: decode() for name, decode in source.pictures()}
    stored = {row["sample_id"]: row for row in rows(tmp_path / "out")}
    assert made.keys() == stored.keys()
    assert source.chosen.count == len(made) == 2 * SHOTS
    for name, (named, pixels, alpha) in made.items():
        assert (named.name, named.foreground_id) == (name, stored[name]["foreground_id"])
        assert (pixels == decode_pixels(stored[name]["image"]["bytes"])).all()
        assert (alpha == decode_pixels(stored[name]["alpha"]["bytes"])[..., 0]).all()
    name = next(iter(made))
    assert (source.load(name)[1] == made[name][1]).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["some-set"], "--fit composes itself: some-set has no effect; leave it out"),
        (["--write", "photo.jpg"], "photo.jpg: exists, and is no recipe that was fitted; choose another --write"),
    ],
)
def test_what_does_not_go_with_a_fit_is_refused(
    photographs: Path, backgrounds: Path, tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    done = fit(tmp_path, photographs, backgrounds, *words)
    assert done.exit_code == 1
    assert said in done.stderr
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give SETS, data sets of rssn compose; or --fit RECIPE"),
        (["--fit", "comp-rssn"], "--fit needs --write, too"),
        (["--fit", "comp-rssn", "--write", "a.yaml"], "--fit needs --backgrounds, too"),
        (["some-set", "--write", "a.yaml"], "--write"),
        (["some-set", "--trials", "9"], "--trials"),
    ],
)
def test_what_is_missing_or_idle_is_said(photographs: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["gap", "--real", str(photographs), "--out", str(tmp_path / "out"), *words])
    assert done.exit_code in (1, 2)
    assert said in done.stderr


@pytest.mark.parametrize("option", ["--out", "--write"])
def test_what_cannot_be_written_is_refused_before_the_work(
    photographs: Path, backgrounds: Path, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.gap.fit.halves", lambda *_: pytest.fail("the work began"))
    done = fit(tmp_path, photographs, backgrounds, option, "/proc/fit/near.yaml")
    assert done.exit_code == 1
    assert f"cannot be written to (No such file or directory); choose another {option}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_composites_are_not_what_is_fitted_to(photographs: Path, backgrounds: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "packed", Manifest({"kind": "composites"}))
    done = fit(tmp_path, tmp_path / "packed", backgrounds)
    assert done.exit_code == 1
    assert "packed: holds a data set; --fit composes itself, from the matting data set that it was" in done.stderr


def test_a_recipe_that_merges_is_refused(photographs: Path, backgrounds: Path, tmp_path: Path) -> None:
    (tmp_path / "merge.yaml").write_text("{name: two, steps: [merge, blend]}")
    done = fit(tmp_path, photographs, backgrounds, "--fit", str(tmp_path / "merge.yaml"))
    assert done.exit_code == 1
    assert "the recipe two merges foregrounds, which no half holds alone; fit it without" in done.stderr
