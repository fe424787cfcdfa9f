"""The tutorial, done by hand in an empty folder: what it prints is what a reader sees."""

import pathlib
import re

import pytest

from optimizer import cli

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "tutorial-first-rule.md").read_text(encoding="utf-8")
#: (language, text) of each block, in order
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
RULE = "learning_rate > 2.0e-4 and optimizer_type"


def run(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """What a command prints: `tuneguard` and its words, as a shell splits them."""
    words = [quoted or plain for quoted, plain in re.findall(r"'([^']*)'|(\S+)", command)]
    with pytest.raises(SystemExit):
        cli.main(words[1:])
    said = capsys.readouterr()
    return said.out + said.err


def test_each_step_of_the_tutorial_prints_what_the_page_shows(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study, rules, examples = [text for language, text in BLOCKS if language == "yaml"]
    check, misspelled, miscased, explained, tested = [text for language, text in BLOCKS if language == "console"]
    pathlib.Path("my-study.yaml").write_text(study, encoding="utf-8")

    def shown(block: str, written: str, command: str = "") -> None:
        pathlib.Path("my-rules.yaml").write_text(written, encoding="utf-8")
        first, _, rest = block.partition("\n")
        asked, expected = (first.removeprefix("$ "), rest) if first.startswith("$ ") else (command, block)
        assert run(capsys, asked) == expected

    shown(check, rules)
    shown(misspelled, rules.replace(RULE, RULE.replace("learning", "lerning")), check.split("\n")[0].removeprefix("$ "))
    shown(miscased, rules.replace('"AdamW8bit"', '"AdamW8Bit"'))
    shown(explained, rules)
    shown(tested, rules + examples)
