"""Study files: strict reading, every problem at once, resolution that can be read again."""

import pathlib

import pytest

from optimizer import errors
from optimizer.study import resolved as study

GOOD = """\
study_version: 1
name: my-character
base: demo
dataset: ./data
space:
  learning_rate: {float: [6.0e-5, 1.2e-4], log: true}
  network_dim: {choices: [64, 128, 256]}
  network_alpha_ratio: {float: [0.25, 0.9], step: 0.05}
  lr_scheduler: {choices: [cosine, cosine_with_restarts, polynomial]}
  lr_scheduler_num_cycles: {int: [1, 4], when: lr_scheduler == "cosine_with_restarts"}
fixed:
  resolution: 512
objectives: {clip_score: maximize, failure_rate: minimize}
evaluation:
  prompts: [a cat, a dog]
"""


def written(folder: pathlib.Path, text: str) -> pathlib.Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: pathlib.Path, text: str) -> str:
    with pytest.raises(errors.BadInput) as caught:
        study.read(written(folder, text))
    return str(caught.value)


def test_a_study_is_read_with_paths_counted_from_its_file(tmp_path: pathlib.Path) -> None:
    read = study.read(written(tmp_path, GOOD))
    assert read.dataset.path == str(tmp_path / "data")
    assert read.base == "demo"
    assert read.space["network_alpha_ratio"].points() == 14
    assert dict(read.objectives) == {"clip_score": "maximize", "failure_rate": "minimize"}
    assert read.evaluation.prompts == ("a cat", "a dog")


def test_the_resolved_form_reads_back_as_the_same_study(tmp_path: pathlib.Path) -> None:
    read = study.read(written(tmp_path, GOOD + "search: {trials: 7, refusals: prune}\nlaunch: {isolation: process}\n"))
    again = study.parse(read.source, read.name)
    assert again == read


def test_points_and_a_pruner_read_back_and_are_off_by_default(tmp_path: pathlib.Path) -> None:
    plain = study.read(written(tmp_path, GOOD))
    assert (plain.evaluation.during, plain.search.pruner, plain.primary) == (None, "none", "clip_score")
    text = GOOD + "  during: {every_samples: 64, steps: 8}\nsearch: {pruner: median, primary: failure_rate}\n"
    read = study.read(written(tmp_path, text))
    assert read.evaluation.during is not None
    assert (read.evaluation.during.every_samples, read.evaluation.during.prompts) == (64, 4)
    assert read.primary == "failure_rate"
    assert study.parse(read.source, read.name) == read


def test_one_objective_needs_no_primary(tmp_path: pathlib.Path) -> None:
    text = GOOD.replace(", failure_rate: minimize", "") + "  during: {every_samples: 64}\nsearch: {pruner: asha}\n"
    assert study.read(written(tmp_path, text)).primary == "clip_score"


def test_sd_scripts_tells_nothing_that_points_could_be_made_of(tmp_path: pathlib.Path) -> None:
    text = GOOD.replace("base: demo", "base: demo\ntrainer: sd-scripts") + "  during: {every_samples: 64}\n"
    assert "17:3" in refusal(tmp_path, text.replace("  resolution: 512", "  sd_scripts: /there"))


def test_prompts_may_stand_in_a_file_with_comments(tmp_path: pathlib.Path) -> None:
    (tmp_path / "prompts.txt").write_text("# plain\na cat\n\na dog\n", encoding="utf-8")
    read = study.read(written(tmp_path, GOOD.replace("[a cat, a dog]", "prompts.txt")))
    assert read.evaluation.prompts == ("a cat", "a dog")


def test_the_files_of_judges_are_found_beside_the_study(tmp_path: pathlib.Path) -> None:
    given = (
        "clip: {model: ViT-B-32, pretrained: ./clip.pt}\n  dino: {model: vit_small_patch16_224.dino, weights: eye.pth}"
    )
    read = study.read(written(tmp_path, GOOD + f"  {given}\n"))
    assert read.evaluation.clip.pretrained == str(tmp_path / "clip.pt")
    assert read.evaluation.clip.model == "ViT-B-32"
    assert read.evaluation.dino is not None
    assert read.evaluation.dino.weights == str(tmp_path / "eye.pth")
    assert study.parse(read.source, read.name) == read
    tagged = study.read(written(tmp_path, GOOD + "  clip: {model: ViT-B-32, pretrained: openai}\n"))
    assert tagged.evaluation.clip.pretrained == "openai"


def test_a_child_written_before_its_parent_is_drawn_after_it(tmp_path: pathlib.Path) -> None:
    lines = GOOD.splitlines(keepends=True)
    child = next(line for line in lines if "num_cycles" in line)
    lines.remove(child)
    lines.insert(lines.index("space:\n") + 1, child)
    names = list(study.read(written(tmp_path, "".join(lines))).space)
    assert names.index("lr_scheduler") < names.index("lr_scheduler_num_cycles")


# what is replaced, by what, and what the message must name: place, value, remedy
BAD = [
    pytest.param("clip_score: max", "clip_scor: max", ["13:14", "'clip_scor'", "clip_score"], id="unknown objective"),
    pytest.param(
        "failure_rate: min", "held_out_clip_score: max", ["13:", "evaluation.held_out"], id="objective without prompts"
    ),
    pytest.param("name: my", "nam: my", ["2:1", "'nam'", "did you mean 'name'"], id="unknown key"),
    pytest.param("base: demo", "base: 7", ["3:7", "must be text", "7"], id="wrong kind"),
    pytest.param("[64, 128, 256]", "[]", ["7:26", "choices are empty"], id="empty choice"),
    pytest.param("[6.0e-5, 1.2e-4]", "[3.0e-4, 1.2e-4]", ["6:26", "0.0003", "above high 0.00012"], id="low above high"),
    pytest.param("[6.0e-5, 1.2e-4]", '["1e-4", 1.2e-4]', ["6:27", "'1e-4' is text"], id="number written as text"),
    pytest.param("base: demo", "base: demo\nbase: demo", ["4:1", "base"], id="duplicate key"),
    pytest.param("learning_rate:", "learning_rte:", ["6:3", "did you mean learning_rate"], id="unknown parameter"),
    pytest.param("[cosine,", "[cosin,", ["9:17", "'cosin'", "cosine"], id="unknown scheduler"),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\nsearch: {pruner: asha, primary: clip_score}",
        ["16:18", "none are taken", "every_samples"],
        id="pruner without points",
    ),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\n  during: {every_samples: 8}\nsearch: {pruner: asha}",
        ["17:18", "by one objective, and there are 2", "primary: clip_score"],
        id="pruner without primary",
    ),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\nsearch: {primary: clip_scor}",
        ["16:19", "clip_scor is not among", "did you mean 'clip_score'"],
        id="unknown primary",
    ),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\n  during: {every_samples: 8}\nsearch: {pruner: wilcoxon, primary: failure_rate}",
        ["17:18", "prompt by prompt", "clip_score"],
        id="wilcoxon by a metric without prompts",
    ),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\n  during: {every_samples: 0}",
        ["16:27", "0"],
        id="points every nothing",
    ),
    pytest.param(
        "prompts: [a cat, a dog]",
        "prompts: [a cat]\n  during: {every: 8}",
        ["16:12", "every_samples"],
        id="points without their distance",
    ),
    pytest.param("resolution: 512", "resolution: big", ["12:15", "'big'"], id="text for a number"),
    pytest.param("maximize", "maximise", ["13:26", "maximise"], id="unknown direction"),
    pytest.param("[a cat, a dog]", "none.txt", ["15:12", "none.txt"], id="missing prompts"),
    pytest.param(
        'when: lr_scheduler == "c', 'when: lr_schedule == "c', ["lr_schedule", "lr_scheduler"], id="condition"
    ),
    pytest.param("log: true", "log: true, choices: [1]", ["6:", "float and choices"], id="two kinds"),
    pytest.param("base: demo", "base: demo\ntrainer: diffusion", ["4:10", "diffusion-lora"], id="unknown trainer"),
    pytest.param("name: my-character", "name: ../x", ["2:7"], id="a name that is a path"),
    pytest.param(
        "  resolution: 512", "  network_dim: 64", ["12:16", "both searched and fixed"], id="fixed and searched"
    ),
]


@pytest.mark.parametrize(("old", "new", "named"), BAD)
def test_a_wrong_file_is_one_clear_error_with_its_place(
    tmp_path: pathlib.Path, old: str, new: str, named: list[str]
) -> None:
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new, 1))
    for word in ["study.yaml", *named]:
        assert word in message


def test_every_problem_is_reported_at_once(tmp_path: pathlib.Path) -> None:
    text = GOOD.replace("[64, 128, 256]", "[]").replace("resolution", "resolutionn").replace("[cosine,", "[cosin,")
    message = refusal(tmp_path, text)
    assert message.count("study.yaml:") == 3


def test_studies_of_one_name_that_would_not_compare_are_told_apart(tmp_path: pathlib.Path) -> None:
    old = study.read(written(tmp_path, GOOD))
    wider = study.read(written(tmp_path, GOOD.replace("1.2e-4", "1.3e-4")))
    longer = study.read(written(tmp_path, GOOD + "search: {trials: 99}\n"))
    assert study.incompatible(old, wider) == ["space"]
    assert study.incompatible(old, longer) == []


@pytest.mark.parametrize(
    ("point", "named"),
    [
        ({"network_dims": 64}, "network_dim"),
        ({"network_dim": 65}, "64, 128, 256"),
        ({"learning_rate": 1.0}, "6e-05 to 0.00012"),
        ({"resolution": 64}, "does not search it"),
    ],
)
def test_a_point_that_a_person_names_must_lie_in_the_space(tmp_path: pathlib.Path, point: dict, named: str) -> None:
    read = study.read(written(tmp_path, GOOD))
    with pytest.raises(errors.BadInput, match=named):
        study.check_point(read, point)
    study.check_point(read, {"network_dim": 64, "network_alpha_ratio": 0.9})
