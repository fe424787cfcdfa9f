"""`tuneguard rules ...` as a person meets it: exit codes, what is printed, and one clear error for what is wrong."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

from optimizer import cli

STUDY = """\
study_version: 1
name: small
base: demo
dataset: data
space:
  train_batch_size: {int: [1, 100]}
fixed: {resolution: 64, max_train_epochs: 2, network_alpha_ratio: 0.5}
rules: [rules.yaml]
objectives: {clip_score: maximize}
evaluation: {prompts: [a monster], seeds: [1]}
"""


class Desk:
    """A folder with files, and the command line in it."""

    def __init__(self, folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def study(self, name: str, text: str) -> str:
        """A study file beside a data set of four pictures."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        for at in range(4):
            Image.new("RGB", (64, 64), (60 * at, 90, 120)).save(data / f"{at}.png")
            (data / f"{at}.txt").write_text(f"a monster, number {at}", encoding="utf-8")
        return self.write(name, text)

    def rules(self, *lines: str, name: str = "rules.yaml") -> str:
        body = "\n".join(f"  - {{{line}, because: x}}" for line in lines)
        return self.write(name, f"rules_version: 1\nname: mine\nrules:\n{body}\n")

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        said = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err


@pytest.fixture
def desk(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEGUARD_HOME", str(tmp_path / "home"))
    return Desk(tmp_path, capsys)


# -- check -------------------------------------------------------------------------------------------------------------


def test_rules_that_leave_no_point_of_a_counted_space_end_with_3(desk: Desk) -> None:
    study = desk.write("study.yaml", STUDY)
    rules = desk.rules(
        "id: even, refuse: train_batch_size % 2 == 0",
        "id: odd, refuse: train_batch_size % 2 == 1",
        "id: large, refuse: floor(train_batch_size / 4) >= 12",
    )
    code, out, _ = desk.run("rules", "check", rules, "--study", study)
    assert code == 3
    assert "even and odd cannot all be kept (every point counted)" in out


def test_rules_that_leave_no_sampled_point_end_with_3_and_say_that_it_is_not_proved(desk: Desk) -> None:
    study = desk.write("study.yaml", STUDY.replace("space:", "space:\n  learning_rate: {float: [1.0e-5, 1.0e-3]}"))
    rules = desk.rules("id: all, refuse: log(learning_rate) < 0 and train_batch_size > 0")
    code, out, _ = desk.run("rules", "check", rules, "--study", study)
    assert code == 3
    assert "none of 65,536 sampled points is feasible: sampled, not proved" in out


# -- explain -----------------------------------------------------------------------------------------------------------

POINT_STUDY = """\
study_version: 1
name: points
base: demo
dataset: data
space:
  learning_rate: {float: [1.0e-5, 1.0e-3], log: true}
  optimizer_type: {choices: [AdamW, Prodigy]}
  lr_scheduler: {choices: [cosine, cosine_with_restarts]}
  lr_scheduler_num_cycles: {int: [1, 3], when: lr_scheduler == "cosine_with_restarts"}
fixed: {resolution: 64, max_train_epochs: 2, train_batch_size: 2, network_alpha_ratio: 0.5}
rules: [rules.yaml]
objectives: {clip_score: maximize}
evaluation: {prompts: [a monster], seeds: [1]}
"""
LOOSE = '{"learning_rate": 0.0002, "optimizer_type": "AdamW"}'


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("[1, 2]", "must be a JSON object, not [1, 2]"),
        ("null", "must be a JSON object, not null"),
        ("3", "must be a JSON object, not 3"),
        ('"x"', 'must be a JSON object, not "x"'),
        ("", "column 1"),
        ("{'learning_rate': 1}", "column 2"),
        ('{"learning_rate": }', "column 19"),
        ('{"learning_rate": null}', "'learning_rate' is null; leave out what is not set"),
        ('{"learning_rate": [1e-4]}', "'learning_rate' must be one value, not a list"),
        ('{"learning_rate": {"a": 1}}', "'learning_rate' must be one value, not a mapping"),
        ('{"learning_rate": NaN}', "'learning_rate' is nan, which is no finite number"),
        ('{"learning_rate": 1e400}', "'learning_rate' is inf, which is no finite number"),
        ('{"learning_rate": -Infinity}', "no finite number"),
        ('{"learning_rate": 1e-4, "learning_rate": 2e-4}', "'learning_rate' is there twice"),
        ('{"learning_rate": ' + "9" * 400 + "}", "beyond 2**53"),
        ('{"learning_rate": ' + "9" * 5_000 + "}", "digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 50_000, "characters"),
        ('{"lerning_rate": 1e-4}', "'lerning_rate' is known to neither these rules nor a trainer; did you mean "),
        ('{"learning_rate": "high"}', "'learning_rate' is \"high\": lora-v2.1.yaml:"),
        ('{"optimizer_type": 3}', "'optimizer_type' is 3: lora-v2.1.yaml:"),
        ('{"learning_rate": true}', "'learning_rate' is true: lora-v2.1.yaml:"),
    ],
    ids=lambda text: text[:24],
)
def test_a_point_that_cannot_be_meant_is_one_clear_error(desk: Desk, params: str, words: str) -> None:
    code, out, err = desk.run("rules", "explain", "lora-v2.1", "--params", params)
    assert (code, out) == (2, "")
    assert words in err
    assert "--params" in err
    assert len(err) < 500
    assert "did you mean 'lerning_rate'" not in err


def test_a_point_alone_is_judged_by_what_it_gives_and_says_what_it_does_not(desk: Desk) -> None:
    params = '{"learning_rate": 1.84e-4, "optimizer_type": "AdamW8bit"}'
    code, out, _ = desk.run("rules", "explain", "lora-v2.1", "--params", params)
    assert code == 0
    assert out.startswith("refused by eight-bit-needs-low-lr: learning_rate 0.000184 is above")
    assert "note: not given (rules that need it do not apply): " in out
    assert "network_dim" in out


def test_a_rule_file_without_a_list_of_parameters_can_be_explained(desk: Desk) -> None:
    rules = desk.rules("id: high, refuse: learning_rate > 1.0e-4 and network_dim > 8")
    code, out, _ = desk.run("rules", "explain", rules, "--params", '{"learning_rate": 2e-4}')
    assert code == 0
    assert out.splitlines()[0] == "accepted: no rule refuses or discourages this point"
    assert "network_dim" in out


def test_in_a_study_a_point_is_judged_over_its_data_set_as_its_search_does(desk: Desk) -> None:
    study, rules = desk.study("study.yaml", POINT_STUDY), desk.rules("id: long, refuse: total_steps > 3")
    code, out, _ = desk.run("rules", "explain", rules, "--study", study, "--params", LOOSE, "--json")
    found = json.loads(out)
    assert (code, found["verdict"], found["refused_by"]) == (0, "refused", ["long"])
    assert found["sentences"] == ["refused by long: total_steps 4 is above 3. x"]
    assert found["notes"] == ["not given (a search gives every one a value): lr_scheduler"]


def test_in_a_study_the_trainer_s_own_refusal_is_told(desk: Desk) -> None:
    study = desk.study(
        "study.yaml", POINT_STUDY.replace("1.0e-5, 1.0e-3", "1.0e-8, 1.0e-3").replace("[cosine,", "[polynomial,")
    )
    rules = desk.rules("id: long, refuse: total_steps > 30")
    point = '{"learning_rate": 5e-8, "optimizer_type": "AdamW", "lr_scheduler": "polynomial"}'
    code, out, _ = desk.run("rules", "explain", rules, "--study", study, "--params", point)
    assert code == 0
    assert out.startswith("refused by the trainer: it cannot train this: learning_rate: 5e-08")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ('{"lerning_rate": 1e-4}', "'lerning_rate' is no parameter of the study; did you mean 'learning_rate'?"),
        ('{"learning_rate": "1e-4"}', "'learning_rate' must be a number, not \"1e-4\""),
        ('{"optimizer_type": true}', "'optimizer_type' must be text, not true"),
        ('{"resolution": 512}', "'resolution' is 64 in every trial of this study; leave it out"),
    ],
)
def test_in_a_study_a_wrong_name_or_kind_is_one_clear_error(desk: Desk, params: str, words: str) -> None:
    study, rules = desk.study("study.yaml", POINT_STUDY), desk.rules("id: long, refuse: total_steps > 3")
    code, out, err = desk.run("rules", "explain", rules, "--study", study, "--params", params)
    assert (code, out) == (2, "")
    assert words in err


def test_in_a_study_a_value_outside_of_the_space_is_judged_and_said_to_be_outside(desk: Desk) -> None:
    study, rules = desk.study("study.yaml", POINT_STUDY), desk.rules("id: high, refuse: learning_rate > 1.0e-4")
    point = '{"learning_rate": 0.5, "optimizer_type": "AdamW", "lr_scheduler": "cosine", "lr_scheduler_num_cycles": 2}'
    code, out, _ = desk.run("rules", "explain", rules, "--study", study, "--params", point)
    assert code == 0
    assert "refused by high: learning_rate 0.5 is above 0.0001. x" in out
    assert "note: learning_rate 0.5 is outside of 1e-05 to 0.001: no trial will have it" in out
    assert 'note: lr_scheduler_num_cycles is not set at this point (lr_scheduler == "cosine_with_restarts")' in out


# -- what is no rule file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("check",), ("test",), ("explain", "--params", "{}")], ids=lambda words: words[0])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "missing", "binary", "loop", "empty", "nonsense-name"])
def test_what_is_no_rule_file_is_one_clear_error(desk: Desk, words: tuple[str, ...], kind: str) -> None:
    path = desk.folder / "rules.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 40)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "empty":
        path.touch()
    name = "lora-esentials" if kind == "nonsense-name" else str(path)
    code, out, err = desk.run("rules", words[0], name, *words[1:])
    assert (code, out) == (2, "")
    assert "rules.yaml:" in err or "lora-essentials" in err
    assert len(err.splitlines()) <= 4


# -- list and show -----------------------------------------------------------------------------------------------------


def test_shipped_rules_are_listed_and_shown_without_making_a_database(desk: Desk) -> None:
    code, out, _ = desk.run("rules", "list")
    assert (code, out.splitlines()) == (0, ["lora-essentials  shipped", "lora-v2.1        shipped"])
    code, out, _ = desk.run("rules", "show", "lora-v2.1", "--json")
    found = json.loads(out)
    assert (code, found["name"], found["number"], found["shipped"]) == (0, "lora-v2.1", None, True)
    assert found["text"].startswith("rules_version: 1") or "rules_version: 1" in found["text"]
    assert not (desk.folder / "home" / "postgres").exists()


def test_a_rule_set_that_is_not_there_is_a_clear_error(desk: Desk) -> None:
    code, _, err = desk.run("rules", "show", "lora-esentials")
    assert (code, err) == (2, "error: there is no rule set 'lora-esentials'; did you mean 'lora-essentials'?\n")
    code, _, err = desk.run("rules", "show", "lora-v2.1", "--version", "3")
    assert (code, err) == (2, "error: lora-v2.1 is shipped and has no versions; leave out --version\n")


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_rules_commands_print_fits_the_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr("optimizer.cli.options.width", lambda: width)
    study, rules = desk.study("study.yaml", POINT_STUDY), desk.rules("id: high, refuse: learning_rate > 1.0e-4")
    for words in (
        ("rules", "list"),
        ("rules", "test", "lora-v2.1"),
        ("rules", "check", rules, "--study", study),
        ("rules", "check", "lora-essentials", "--study", study),
        ("rules", "explain", "lora-essentials", "--params", LOOSE),
    ):
        code, out, err = desk.run(*words)
        assert code == 0, err
        assert max(map(len, out.splitlines())) <= width, out


@pytest.mark.slow
def test_rules_are_checked_without_loading_what_asks_a_database() -> None:
    program = (
        "import sys; from optimizer.rules import compiled; from optimizer.study import resolved; "
        "from constraints.proving import examine; sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
