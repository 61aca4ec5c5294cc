"""Mistakes in a study file that would be found after hours, or never."""

from __future__ import annotations

import re

import pytest

from pipelines.study.load import parse_study
from rssn.errors import InputError
from tests.pipelines.study.test_load import TEXT, refused

ANEW = "nowhere: what was changed is made anew"
TRAINING = "rows.real.training"


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("seed: 7", "seeds"),
        ("rosta: FT", "network.rosta"),
        ("data: other", "foregrounds and rows"),
        ("backbone: r34", "network.backbone"),
        ("weights: w.pth", "network.weights"),
        ("out: there", "rssn study --out"),
        ("help: true", "the command line"),
    ],
)
def test_what_the_study_trains_is_not_set_by_an_option(option: str, place: str) -> None:
    words = f"mine.yaml: 'network.options.{option.partition(':')[0]}': the study sets it itself; its place is {place}"
    assert refused("max-steps: 4", f"max-steps: 4, {option}").startswith(words)


@pytest.mark.parametrize(
    ("option", "place"), [("seed: 7", "seeds"), ("rosta: FT", "network.rosta"), ("out: x", "rssn study --out")]
)
def test_a_rows_training_may_differ_in_backbone_and_weights_alone(option: str, place: str) -> None:
    words = f"'{TRAINING}.{option.partition(':')[0]}': the study sets it itself; its place is {place}"
    assert words in refused("real: {}", f"real: {{training: {{{option}}}}}")
    given = "{training: {backbone: r34, weights: w.pth, ablation: single, max-steps: 9, workers: 2}}"
    training = parse_study(TEXT.replace("real: {}", f"real: {given}"), "mine").rows["real"].training
    assert (training["backbone"], training["ablation"]) == ("r34", "single")


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("matting: other", "foregrounds"),
        ("recipe: comp-rssn", "the row's recipe"),
        ("backgrounds: other", "the row's backgrounds"),
        ("out: there", "rssn study --out"),
        ("workers: 2", "rssn study --workers"),
        ("address: auto", "rssn study --address"),
        ("dry-run: true", "rssn study --dry-run"),
        ("extend: true", ANEW),
        ("overwrite: true", ANEW),
        ("retry-rejects: true", ANEW),
    ],
)
def test_what_the_study_composes_is_not_set_by_an_option(option: str, place: str) -> None:
    words = f"'rows.coco.options.{option.partition(':')[0]}': the study sets it itself; its place is {place}"
    assert words in refused("k: 2", f"k: 2, {option}")


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("data: other", "evaluation.data"),
        ("checkpoint: last.pt", "network"),
        ("weights: w.pth", "network.weights"),
        ("out: there", "rssn study --out"),
        ("mattes: false", "nowhere: they are always written"),
    ],
)
def test_what_the_study_judges_is_not_set_by_an_option(option: str, place: str) -> None:
    words = f"'evaluation.options.{option.partition(':')[0]}': the study sets it itself; its place is {place}"
    assert words in refused("$data/eval}", f"$data/eval, options: {{{option}}}}}")


def test_what_the_study_curates_is_not_set_by_an_option() -> None:
    for option, place in (("workers: 2", "rssn study --workers"), ("export-folder: x", "rssn export")):
        words = f"'backgrounds.bg.options.{option.partition(':')[0]}': the study sets it itself; its place is {place}"
        assert words in refused("min-side: 384", f"min-side: 384, {option}")
    words = "'backgrounds.crops.options.out': the study sets it itself; its place is rssn study --out"
    assert words in refused("{crops: bg}", "{crops: bg, options: {out: x}}")
    words = "'backgrounds.crops.options': a set that is taken has none"
    assert words in refused("{crops: bg}", "{take: x, options: {min-side: 9}}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max-steps: 4", "seed=7: true", "'network.options' holds the name 'seed=7'; give an option's name"),
        ("max-steps: 4", "--seed: 7", "'network.options' holds the name '--seed'; give an option's name"),
        ("max-steps: 4", "5: 7", "'network.options' holds the name '5'; give an option's name"),
        ("max-steps: 4", "tensorboard: --seed=7", "'network.options.tensorboard' is '--seed=7'; give a value, a list"),
        ("max-steps: 4", "max-steps:", "'network.options.max-steps' is None; give a value, a list of them, or true"),
        ("max-steps: 4", "crop-size: [{a: 1}]", r"'network.options.crop-size' is [{'a': 1}]; give a value, a list"),
        ("real: {}", "real: {training: {backbone: 3}}", f"'{TRAINING}.backbone' is 3; give a text"),
        ("real: {}", "real: {training: {weights: false}}", f"'{TRAINING}.weights' is False; give a text"),
    ],
)
def test_an_option_has_a_name_and_a_value(old: str, new: str, message: str) -> None:
    assert message in refused(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: [0, 1]", "seeds: [0, 0]", "seeds is [0, 0]; expected one or several, none of them twice"),
        ("seeds: [0, 1]", "seeds: []", "seeds is []; expected one or several, none"),
        ("seeds: [0, 1]", "seeds: [0, true]", "seeds[1] is True; expected a whole number"),
        ("seeds: [0, 1]", "seeds: [-1]", "seeds[0] is -1; expected 0 or more"),
        ("backbone: tiny", "backbone: tiny, rosta: []", "network.rosta is []; expected one or several"),
        (
            "backbone: tiny",
            "backbone: tiny, rosta: [TT, TT]",
            "rosta is ['TT', 'TT']; expected one or several, none",
        ),
        ("backbone: tiny", "backbone: tiny, rosta: XT", "network.rosta[0] is 'XT'; expected one of TT, FT, BT"),
        ("backbone: tiny", "backbone: tiny, ensemble: 2", "network.ensemble is 2; expected true or false"),
        ("backbone: tiny", "backbone: 3", "network.backbone is 3; expected a text"),
        ("$data/matting", "[]", "foregrounds is []; expected one or several, none of them twice"),
        ("$data/matting", "[$data/a, $data/a]", "expected one or several, none of them twice"),
        ("$data/matting", "[3]", "foregrounds[0] is 3; expected a text"),
        ("$data/matting", "{a: b}", "foregrounds[0] is {'a': 'b'}; expected a text"),
        ("recipe: comp-coco", "recipe: 3", "rows.coco.recipe is 3; expected a text"),
        ("backgrounds: crops,", "backgrounds: [[a]],", "rows.coco.backgrounds is [['a']]; expected a text"),
        ("$data/eval}", "3}", "evaluation.data is 3; expected a text"),
        ("options: {k: 2}", "options: ", "rows.coco.options is None; expected a mapping"),
        ("options: {k: 2}", "options: [k]", "rows.coco.options is ['k']; expected a mapping"),
        ("real: {}", "real: {training: 3}", "rows.real.training is 3; expected a mapping"),
        ("seeds:", "compare: [3]\nseeds:", "compare[0] is 3; expected a list"),
        ("seeds:", "compare: [[plain, plain]]\nseeds:", "'compare' holds ['plain', 'plain']; give pairs of rows: "),
        ("seeds:", "compare: [[plain, real], [real, plain]]\nseeds:", "'compare' holds ['plain', 'real'] twice; name"),
        ("seeds:", "compare: [[plain]]\nseeds:", "the key 'compare[0][1]' is missing"),
    ],
)
def test_a_value_is_of_its_kind(old: str, new: str, message: str) -> None:
    assert message in refused(old, new)


def test_a_study_has_rows() -> None:
    rows = TEXT[TEXT.index("rows:") : TEXT.index("network:")]
    assert "rows is {}; expected at least 1 of them" in refused(rows, "rows: {}\n")


@pytest.mark.parametrize(
    ("paper", "message"),
    [
        ("{plain: {TT: {sad: '46.16?'}}}", "paper.plain.TT.sad is '46.16?'; expected a number"),
        ("{plain: {TT: {sad: true}}}", "paper.plain.TT.sad is True; expected a number"),
        ("{plain: {TT: {sad: .nan}}}", "paper.plain.TT.sad is nan; expected a finite number"),
        ("{plain: {TT: 3}}", "paper.plain.TT is 3; expected a mapping"),
        ("{plain: 3}", "paper.plain is 3; expected a mapping"),
        ("[1]", "paper is [1]; expected a mapping"),
        (
            "{plain: {XT: {sad: 1}}}",
            "'paper.plain': give {ROW: {NETWORK: {sad: 1.0}}}; rows are plain, coco, real, networks TT, columns sad",
        ),
        (
            "{other: {TT: {sad: 1}}}",
            "'paper.other': give {ROW: {NETWORK: {sad: 1.0}}}; rows are plain, coco, real, networks TT, columns sad",
        ),
    ],
)
def test_the_papers_figures_are_numbers(paper: str, message: str) -> None:
    assert refused("seeds:", f"paper: {paper}\nseeds:").startswith(f"mine.yaml: {message}")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("$data/matting", "[$data/a, http://a/b]", "foregrounds[1]"),
        ("$data/eval}", "http://a/b}", "evaluation.data"),
        ("{crops: bg}", "{take: http://a/b}", "backgrounds.crops.take"),
        ("curate: $data/photos", "curate: http://a/b", "backgrounds.bg.curate"),
        ("backbone: tiny", "backbone: tiny, weights: http://a/b", "network.weights"),
        ("real: {}", "real: {training: {weights: http://a/b}}", "'rows.real.training': --weights"),
        ("name: mine", "name: mine\nsynthetic: http://a/b", "synthetic"),
    ],
)
def test_a_url_that_names_nothing_is_refused_when_the_file_is_read(old: str, new: str, key: str) -> None:
    words = "expected a path, or s3://bucket/folder, gs://... or az://... without user, key or signature"
    assert refused(old, new) == f"mine.yaml: {key} is 'http://a/b'; {words}"


def test_pictures_are_rendered_on_this_disk() -> None:
    words = "mine.yaml: synthetic is 's3://a/b'; expected a path: pictures are rendered on this disk"
    assert refused("name: mine", "name: mine\nsynthetic: s3://a/b") == words


def test_inputs_may_lie_in_buckets() -> None:
    study = parse_study(TEXT, "mine.yaml", ["data=s3://bucket"])
    assert study.foregrounds == ("s3://bucket/matting",)
    assert study.evaluation.data == "s3://bucket/eval"
    assert study.backgrounds["bg"].curate == "s3://bucket/photos"


SHM = "network: {name: shm, backbone: tiny}"
SSS = "network: {name: sss, backbone: r34, weights: w}"


def test_a_row_may_name_a_network_that_takes_the_place_of_the_studys() -> None:
    text = TEXT.replace(
        "real: {}", f"real: {{{SHM}}}\n  soft: {{network: {{name: sss, backbone: r34, weights: r34.pth}}}}"
    )
    study = parse_study(
        text.replace("seeds:", "paper: {real: {SHM: {sad: 17.81}}, soft: {SSS: {sad: 553}}}\nseeds:"), "m"
    )
    assert study.network_of("real").variants == {"SHM": ("SHM",)}
    assert study.network_of("plain").variants == {"TT": ("TT",)}
    assert study.network_of("soft").variants == {"SSS": (), "SSS-oracle": ()}
    assert study.network_of("real").options == {}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "network: {name: tnet, backbone: tiny}",
            "rows.real.network.name is 'tnet'; expected one of gfm, shm, lf, hatt",
        ),
        ("network: {name: shm}", "the key 'rows.real.network.backbone' is missing"),
        (f"{SHM[:-1]}, rosta: TT}}", "'rows.real.network': rosta and ensemble are GFM's; leave them out of shm"),
        (f"{SHM[:-1]}, ensemble: true}}", "'rows.real.network': rosta and ensemble are GFM's; leave them out of shm"),
        (f"{SHM[:-1]}, options: {{network: lf}}}}", "'rows.real.network.options.network': the study sets it itself"),
        (f"{SHM[:-1]}, options: {{steps: 4}}}}", "'rows.real.network.options.steps': there is no such option"),
        (f"{SHM[:-1]}, evaluation: {{protocol: dim}}}}", "protocol is of all networks"),
        (
            "training: {network: shm}",
            "'rows.real.training.network': the study sets it itself; its place is network.name",
        ),
        (
            "network: {name: sss, backbone: r34}",
            "'rows.real.network.weights': sss takes features of an encoder that has",
        ),
        (
            f"{SSS[:-1]}, options: {{protocol: dim}}}}",
            "its place is evaluation.options",
        ),
        (f"{SSS[:-1]}, options: {{mattes: true}}}}", "they are always written"),
        (
            f"{SHM[:-1]}, options: {{part-weights: v.pth}}}}",
            "--part-weights v.pth: give PART=FILE",
        ),
        (
            f"{SSS}, options: {{k: 2}}",
            "sss is not trained; leave out all but its network",
        ),
        (
            f"{SSS[:-1]}, options: {{max-side: 320}}}}",
            "its place is nowhere: sss is no network",
        ),
        (f"{SSS[:-1]}, evaluation: {{}}}}", "sss sees all of them at its sss-side"),
    ],
)
def test_what_a_rows_network_has_no_use_for_is_refused(row: str, message: str) -> None:
    assert message in refused("real: {}", f"real: {{{row}}}")


def test_a_network_without_glance_is_not_evaluated_as_gfm_is() -> None:
    text = TEXT.replace("real: {}", f"real: {{{SHM}}}")
    hybrid = "evaluation: {options: {hybrid: [[1/3, 1/2]]}, data: $data/eval}"
    with pytest.raises(InputError, match=r"'rows\.real\.network': the evaluation's hybrid is GFM's, and shm has no"):
        parse_study(text.replace("evaluation: {data: $data/eval}", hybrid), "mine.yaml")
    own = text.replace(SHM, f"{SHM[:-1]}, evaluation: {{max-side: 320}}}}")
    assert parse_study(own.replace("evaluation: {data: $data/eval}", hybrid), "mine.yaml").rows["real"].network


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("backbone: tiny,", "name: sss, backbone: tiny,", "'network': sss is not trained; give it to a row"),
        (
            "backbone: tiny,",
            "backbone: tiny, evaluation: {},",
            "'network.evaluation': of the study's network its place",
        ),
        (
            "network: {backbone: tiny, options: {max-steps: 4}}\n",
            "",
            "'rows.plain' names no network; give",
        ),
        ("rows:\n", f"rows:\n  own: {{{SHM}}}\n", ""),
    ],
)
def test_the_studys_network_is_that_of_rows_without_one(old: str, new: str, message: str) -> None:
    if message:
        assert message in refused(old, new)
    else:
        parse_study(TEXT.replace(old, new), "mine.yaml")


def test_a_network_that_no_row_trains_is_refused() -> None:
    text = re.sub(r"(?m)^  (plain|coco): \{(.*)\}$", rf"  \1: {{\2, {SHM}}}", TEXT).replace(
        "real: {}", f"real: {{{SHM}}}"
    )
    with pytest.raises(InputError, match="'network': every row names a network of its own; leave this one out"):
        parse_study(text, "mine.yaml")
    assert parse_study(text.replace("network: {backbone: tiny, options: {max-steps: 4}}\n", ""), "m").network is None


SETS = "{data: $data/eval}"


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ("{}", "'evaluation': give one of data and sets"),
        ("{data: a, sets: {b: {data: c}}}", "'evaluation': give one of data and sets"),
        ("{sets: {New: {data: a}}}", "'evaluation.sets.New': use lower-case letters"),
        ("{sets: {new: {}}}", "the key 'evaluation.sets.new.data' is missing"),
        (
            "{sets: {new: {data: a, options: {max-side: 9}}}}",
            "'evaluation.sets.new.options.max-side': its place is evaluation.options, for all sets",
        ),
        (
            "{sets: {new: {data: a, options: {mattes: false}}}}",
            "'evaluation.sets.new.options.mattes': the study sets it",
        ),
    ],
)
def test_sets_of_photographs_are_checked(evaluation: str, message: str) -> None:
    assert message in refused(SETS, evaluation)


@pytest.mark.parametrize(
    ("sets", "first"),
    [
        ("{a: {data: x, tuned: rates}, b: {data: y, predicted: true}, c: {data: z}, d: {data: w}}", "c"),
        ("{a: {data: x, tuned: rates}, b: {data: y, predicted: true}}", "a"),
        ("{b: {data: y, predicted: true}, a: {data: x, tuned: rates}}", "a"),
    ],
)
def test_the_set_that_is_tested_is_the_first_on_which_nothing_was_chosen(sets: str, first: str) -> None:
    evaluation = parse_study(TEXT.replace(SETS, f"{{options: {{alpha-scale: 255}}, sets: {sets}}}"), "mine").evaluation
    names = list(evaluation.named)
    assert (names[0], sorted(names)) == (first, sorted(evaluation.sets))
    assert {one.alpha_scale for one in evaluation.named.values()} == {255.0}


def test_the_meters_options_are_checked() -> None:
    given = {text: parse_study(f"{TEXT}gap: {text}\n", "mine").gap for text in ("true", "{}", "false", "{at: 1/3}")}
    assert given == {"true": {}, "{}": {}, "false": None, "{at: 1/3}": {"at": "1/3"}}
    for option, message in {"real: x": "its place is foregrounds", "trials: 3": "there is no such option"}.items():
        assert message in refused("seeds:", f"gap: {{{option}}}\nseeds:")
    assert "gap is 'yes'; expected a mapping" in refused("seeds:", "gap: 'yes'\nseeds:")


DESIGN = "design: {date: '2026-11-30', pilot: small/, difference: 0.25, seeds: 2, photographs: 9, power: 0.8, "
DESIGN += "cautious: 0.4}\nseeds:"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: 2", "seeds: 5", "'design.seeds' is 5, but the study has 2; keep to the design, or write another one"),
        ("2026-11-30", "soon", "design.date is 'soon'; expected a date in quotes, such as '2026-11-30'"),
        ("difference: 0.25", "difference: 25.0", "design.difference is 25.0; expected less than 1"),
        (", power: 0.8", "", "the key 'design.power' is missing"),
    ],
)
def test_a_design_that_says_something_else_is_refused(old: str, new: str, message: str) -> None:
    assert parse_study(TEXT.replace("seeds:", DESIGN), "mine").design.date == "2026-11-30"
    assert message in refused("seeds:", DESIGN.replace(old, new))


@pytest.mark.parametrize("about", ["tuned: rates", "predicted: true"])
def test_a_design_of_photographs_that_were_seen_is_refused(about: str) -> None:
    text = TEXT.replace("seeds:", DESIGN).replace(SETS, f"{{sets: {{a: {{data: x, {about}}}}}}}")
    with pytest.raises(InputError, match=r"'design' needs a set of evaluation.sets on which nothing was chosen"):
        parse_study(text, "mine")
