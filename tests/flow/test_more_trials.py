"""A study goes on: with more trials than it was made for, and with points that a person asks for."""

import json

import pytest

from tests.flow import place as places
from tests.flow import scripted

pytestmark = pytest.mark.slow

RULES = """\
rules_version: 1
name: going-on-rules
rules:
  - id: large
    refuse: dim > 500
    because: A test wants refusals.
"""


def test_a_study_that_ran_takes_more_trials_and_judges_an_enqueued_point_before_anything_trains(
    place: places.Place,
) -> None:
    study = scripted.study(place, "going-on", trials=1, rules=RULES)
    assert place.run("study", "run", study).returncode == 0
    assert place.run("study", "run", study, "--trials", "1").returncode == 0
    assert len(place.json("study", "show", "going-on")["trials"]) == 2
    for dim in (700, 7):
        done = place.run("study", "enqueue", "going-on", "--params", json.dumps({"dim": dim}), "--anyway")
        assert done.returncode == 0, done.stderr
    assert place.run("study", "run", study, "--trials", "1").returncode == 0  # the usable one of the two
    trials = place.json("study", "show", "going-on")["trials"][2:]
    assert [trial["state"] for trial in trials] == ["refused", "usable"]
    assert trials[0]["refused_by"] == ["large"]
    assert trials[1]["params"]["dim"] == 7
    assert not (place.runs("going-on") / f"trial-{trials[0]['number']:04d}").exists()
