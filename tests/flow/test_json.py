"""What the commands print with `--json` is what docs/reference/json.md says, field by field."""

import json
import re

import pytest

from tests.flow import place as places
from tests.flow import scripted

pytestmark = pytest.mark.slow

PAGE = places.CHECKOUT / "docs" / "reference" / "json.md"

RULES = """\
rules_version: 1
name: told-rules
rules:
  - id: large
    refuse: dim > 500
    because: A test wants refusals.
"""


def fields(heading: str) -> set[str]:
    """The first column of the table under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def others(command: str) -> set[str]:
    """The fields of a command that has a line in the last table."""
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{command}` |"))
    return set(re.findall(r"`(\w+)`", line.split("|")[2]))


def test_each_command_prints_the_fields_that_are_documented(place: places.Place) -> None:
    study = scripted.study(place, "told", trials=2, rules=RULES)
    assert set(place.json("study", "run", study)) == fields("study run, quickstart")
    shown = place.json("study", "show", "told")
    assert set(shown) == fields("study show")
    assert shown["counts"] == {"usable": 2}
    assert shown["refused_points"] == shown["refusals"]["large"] > 0
    trial = place.json("study", "show", "told", "--trial", "0")
    assert set(shown["trials"][0]) == fields("A trial")
    assert set(trial) == fields("A trial") | fields("study show --trial")
    (judgement,) = trial["judgements"]
    assert (judgement["origin"], judgement["rules"], judgement["verdict"]) == ("sampled", ["told-rules@1"], "accepted")
    assert judgement["margins"]["large"] <= 0
    assert trial["values"] == trial["metrics"] == {"gain": 0.5}
    assert trial["lora"].endswith("trial-0000/lora.safetensors")
    assert [attempt["ending"] for attempt in trial["attempts"]] == ["usable"]
    assert set(place.json("study", "best", "told")) == fields("A trial") | fields("study best")
    assert set(place.json("study", "export", "told", "--format", "json")) == fields("study export")
    point = json.dumps({"dim": 7})
    assert set(place.json("study", "enqueue", "told", "--params", point)) == others("study enqueue")
    assert set(place.json("worker", "run", "told", "--until", "3")) == others("worker run")
    assert set(place.json("study", "report", "told")) == others("study report")
    assert all(set(each) == others("study list") for each in place.json("study", "list"))
    assert set(place.json("study", "delete", "told", "--yes")) == others("study delete")


def test_the_database_s_commands_print_the_fields_that_are_documented(place: places.Place) -> None:
    for command in ("db up", "db url", "db migrate", "db verify"):
        assert set(place.json(*command.split())) == others(command)


def test_an_unknown_trial_or_state_is_bad_input_with_what_there_is(place: places.Place) -> None:
    assert place.run("study", "run", scripted.study(place, "asked", trials=1)).returncode == 0
    for words, said in (
        (("--trial", "9"), "no trial 9: it has 1"),
        (("--state", "usble"), "there are usable, unusable"),
        (("--sort", "gian"), "no trial has it; there are gain"),
    ):
        done = place.run("study", "show", "asked", *words)
        assert done.returncode == 2
        assert said in done.stderr
