"""`tuneguard rules ...` as a person meets it: exit codes, what is printed, and one clear error for what is wrong."""

import pathlib

import pytest

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
