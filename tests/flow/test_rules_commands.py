"""`tuneguard rules ...` beside a study that has run: what it decides, what it would have done, and its JSON."""

import json

import pytest

from tests.flow import place as places
from tests.flow import scripted, test_json

pytestmark = pytest.mark.slow

RULES = """\
rules_version: 1
name: ruled-rules
rules:
  - id: large
    refuse: dim > 500
    because: A test wants refusals.
"""


def test_a_stored_study_is_explained_replayed_and_learned_from(place: places.Place) -> None:
    study = scripted.study(place, "ruled", trials=2, rules=RULES)
    rules = study.parent / "rules.yaml"
    assert place.run("study", "run", study).returncode == 0

    point = json.dumps({"dim": 700})
    for named in (study, "ruled"):
        found = place.json("rules", "explain", rules, "--study", named, "--params", point)
        assert (found["verdict"], found["refused_by"]) == ("refused", ["large"])
        assert found["sentences"] == ["refused by large: dim 700 is above 500. A test wants refusals."]
        assert found["notes"] == []

    replayed = place.json("rules", "replay", rules, "--study", "ruled")
    assert (replayed["trials"], replayed["lost"], replayed["missed"]) == (2, [], [])
    suggested = place.json("rules", "suggest", "--study", "ruled")
    assert (suggested["rules"], suggested["failures"]) == ([], 0)
    assert "at least 5 failures" in suggested["remark"]

    (version,) = [each for each in place.json("rules", "list")["versions"] if each["name"] == "ruled-rules"]
    shown = place.json("rules", "show", "ruled-rules")
    assert (shown["number"], shown["shipped"], shown["text"]) == (version["number"], False, RULES)
    done = place.run("rules", "show", "ruled-rules", "--version", "7")
    assert (done.returncode, done.stderr) == (2, "error: ruled-rules has versions 1 to 1, none is number 7\n")


def test_each_rules_command_prints_the_fields_that_are_documented(place: places.Place) -> None:
    study = scripted.study(place, "ruled-json", trials=1, rules=RULES.replace("ruled-rules", "ruled-json-rules"))
    rules = study.parent / "rules.yaml"
    assert place.run("study", "run", study).returncode == 0
    documented = test_json.others
    alone, within = place.json("rules", "check", rules), place.json("rules", "check", rules, "--study", study)
    assert set(alone) | set(within) == documented("rules check")
    assert {field for each in place.json("rules", "test", "lora-v2.1") for field in each} == documented("rules test")
    point = ("--params", json.dumps({"dim": 7}))
    assert set(place.json("rules", "explain", rules, *point)) == documented("rules explain")
    assert set(place.json("rules", "push", rules)) == documented("rules push")
    listed = place.json("rules", "list")
    assert {*listed, *listed["versions"][0]} == documented("rules list")
    assert set(place.json("rules", "show", "lora-v2.1")) == documented("rules show")
    replayed = place.json("rules", "replay", rules, "--study", "ruled-json", "--against", "lora-v2.1")
    assert {*replayed, *replayed["rules"]} == documented("rules replay")
    assert set(place.json("rules", "suggest", "--study", "ruled-json")) == documented("rules suggest")
