"""Parameters that change nothing are found by what trainers say of them, in the space as it is."""

import pathlib

import pytest

from optimizer import idle, study

STUDY = """\
study_version: 1
name: my-character
base: demo
dataset: ./data
space:
  learning_rate: {float: [1.0e-5, 1.0e-3], log: true}
  SPACE
FIXED
objectives: {clip_score: maximize}
evaluation: {prompts: [a cat]}
"""


@pytest.mark.parametrize(
    ("space", "fixed", "found"),
    [
        ("lr_scheduler_num_cycles: {int: [1, 4]}", "fixed: {lr_scheduler: cosine}", {"lr_scheduler_num_cycles"}),
        ("lr_scheduler_num_cycles: {int: [1, 4]}", "fixed: {lr_scheduler: cosine_with_restarts}", set()),
        (
            "lr_scheduler_num_cycles: {int: [1, 4]}\n  lr_scheduler: {choices: [cosine, cosine_with_restarts]}",
            "",
            {"lr_scheduler_num_cycles"},
        ),
        (
            'lr_scheduler_num_cycles: {int: [1, 4], when: lr_scheduler == "cosine_with_restarts"}\n'
            "  lr_scheduler: {choices: [cosine, cosine_with_restarts]}",
            "",
            set(),
        ),
        (
            "lr_warmup_ratio: {choices: [0.0, 0.1]}\n  lr_scheduler: {choices: [cosine, constant_with_warmup]}",
            "",
            set(),
        ),
        ("d_coef: {float: [0.5, 2.0]}", "fixed: {optimizer_type: AdamW}", {"d_coef"}),
    ],
)
def test_a_parameter_without_effect_is_found(tmp_path: pathlib.Path, space: str, fixed: str, found: set[str]) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("SPACE", space).replace("FIXED", fixed), encoding="utf-8")
    assert set(idle.conditions(study.read(path))) == found
