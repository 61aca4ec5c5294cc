from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.classes import CREATURES, OBJECTS, SCENERY
from bg20k.evidence import (
    BOTH,
    DETECTOR,
    SALIENCY,
    evidence_of,
    kind_of,
    log_odds,
    object_score,
    salient_table,
    strength_of,
)
from bg20k.objects import VIEWS, Detection
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency

RULES = CurationRules(creature_area=0.04, object_area=0.25)


def found(label: str, confidence: float, side: float, view: str = "whole") -> Detection:
    """A square of `side` shares of the frame."""
    return Detection(label, confidence, (0.0, 0.0, side, side), view)


def in_all_views(label: str, confidence: float, side: float) -> list[Detection]:
    return [found(label, confidence, side, view) for view in VIEWS]


def test_a_finding_counts_by_its_area() -> None:
    assert strength_of(found("cat", 0.8, 0.0999), RULES) == 0.0  # below a quarter of 0.04
    assert strength_of(found("cat", 0.8, 0.02**0.5), RULES) == pytest.approx(0.4)
    assert strength_of(found("cat", 0.8, 0.2), RULES) == pytest.approx(0.8)
    assert strength_of(found("boat", 0.8, 0.25), RULES) == 0.0
    assert strength_of(found("boat", 0.8, 0.5), RULES) == pytest.approx(0.8)
    assert strength_of(found("cat", 0.8, 0.85**0.5), RULES) == pytest.approx(0.4)
    assert strength_of(found("cat", 0.8, 1.0), RULES) == 0.0


def test_every_class_counts_unless_it_is_listed() -> None:
    assert {kind_of(label, RULES) for label in CREATURES} == {"creature"}
    assert {kind_of(label, RULES) for label in OBJECTS | {"lizard"}} == {"thing"}
    assert {kind_of(label, RULES) for label in SCENERY} == {None}
    assert len(CREATURES | OBJECTS | SCENERY) == 80
    assert kind_of("car", CurationRules(ignored_classes=("car",))) is None


def test_the_strongest_in_each_view_counts_and_then_their_mean() -> None:
    boxes = [found("cat", 0.2, 0.5), found("dog", 0.8, 0.5), found("bird", 0.4, 0.5, "centre")]
    assert evidence_of(boxes, None, RULES) == {"creature": pytest.approx(0.6), "thing": 0.0}
    part = Saliency(0.9, 0.2, 0.5)
    assert evidence_of(None, part, RULES) == {"region": pytest.approx(0.45)}
    assert evidence_of([], Saliency(), RULES) == {"creature": 0.0, "thing": 0.0, "region": 0.0}


def test_without_a_network_there_is_no_score() -> None:
    assert object_score(None, None, RULES) == (None, None)


def test_the_score_is_the_tables_probability() -> None:
    fit = salient_table()[DETECTOR]
    boxes = in_all_views("cat", 0.5, 0.5)
    odds = fit.bias + fit.weights["creature"] * log(0.55 / 0.55) + fit.weights["thing"] * log(0.05 / 1.05)
    assert object_score(boxes, None, RULES)[0] == pytest.approx(1 / (1 + exp(-odds)))
    assert log_odds(0.0) == -log_odds(1.0) == log(0.05 / 1.05)


def test_the_default_rule_is_sure_of_what_is_plain() -> None:
    rules = CurationRules()
    for saliency in (None, Saliency()):
        assert object_score([], saliency, rules)[0] < rules.look_cost / rules.salient_cost
        assert object_score(in_all_views("cat", 0.9, 0.5), saliency, rules)[0] > 1 - rules.look_cost
        assert object_score(in_all_views("person", 0.9, 0.03), saliency, rules)[0] < rules.salient_limit


def test_what_says_most_is_named() -> None:
    cat, boat = in_all_views("cat", 0.4, 0.5), in_all_views("boat", 0.8, 0.6)
    assert object_score([*cat, *boat], None, RULES)[1] == boat[0]
    assert object_score([], None, RULES)[1] is None
    assert object_score(in_all_views("bench", 0.9, 0.6), None, RULES)[1] is None
    assert object_score(boat, Saliency(0.9, 0.2, 0.9), RULES)[1] == boat[0]
    assert object_score([], Saliency(0.9, 0.2, 0.9), RULES)[1] is None
    small, large = found("cat", 0.5, 0.4), found("bird", 0.5, 0.5)
    assert object_score([small, large], None, RULES) == object_score([large, small], None, RULES)
    assert object_score([small, large], None, RULES)[1] == large


def test_the_table_states_its_error_for_every_choice_of_networks() -> None:
    assert list(salient_table()) == [DETECTOR, SALIENCY, BOTH]
    for fit in salient_table().values():
        assert min(fit.weights.values()) >= 0
        error = fit.error
        assert error.recall_range[0] <= error.recall <= error.recall_range[1]
        assert error.lost_range[0] <= error.lost <= error.lost_range[1]
        assert list(error.curve) == sorted(error.curve)
        assert error.curve[-1][1] == 1.0
    assert salient_table()[DETECTOR].error.recall >= 0.85
    assert salient_table()[DETECTOR].error.lost <= 0.15


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_confidence_is_never_less_salient(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scores = [object_score(in_all_views("cat", each, 0.5), None, RULES)[0] for each in (low, high)]
    assert scores[0] <= scores[1]
