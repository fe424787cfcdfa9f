import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from constraints.names.domain import Domain
from constraints.rules import explain, ruleset
from constraints.rules.ruleset import RuleSet, RuleText
from constraints.text.errors import DocumentError, PointError

SPACE = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 6e-5, 1.2e-4, log=True),
        Domain("network_dim", "choice", choices=(64, 128, 256)),
        Domain("network_alpha_ratio", "float", 0.25, 0.9, 0.05),
        Domain("max_train_epochs", "choice", choices=(12, 16, 20)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit", "Prodigy")),
        Domain("lr_scheduler", "choice", choices=("cosine", "cosine_with_restarts")),
        Domain("lr_scheduler_num_cycles", "int", 1, 4, when='lr_scheduler == "cosine_with_restarts"'),
        Domain("lr_warmup_steps", "choice", choices=(50, 100, 150, 200)),
        Domain("gradient_accumulation_steps", "choice", choices=(1, 2, 4)),
    )
}
TRIAL_4 = {
    "learning_rate": 1.84e-4,
    "network_dim": 128,
    "network_alpha_ratio": 1.0,
    "optimizer_type": "AdamW8bit",
    "lr_scheduler": "cosine",
    "max_train_epochs": 8,
    "lr_warmup_steps": 100,
    "gradient_accumulation_steps": 1,
}


def rules(*entries: str, head: str = "", **options: Any) -> RuleSet:
    lines = [f"  - {{id: r{at}, because: x, {entry}}}" for at, entry in enumerate(entries)]
    text = "\n".join(["rules_version: 1", "name: test", head, "rules:", *lines])
    return ruleset.load([RuleText(text, "test.yaml")], options.pop("space", SPACE), **options)


def messages(*entries: str, **options: Any) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        rules(*entries, **options)
    return [
        f"{problem.message} ({problem.hint})" if problem.hint else problem.message for problem in caught.value.problems
    ]


# -- before a trial ----------------------------------------------------------------------------------------------------


def test_the_source_experiments_failed_trial_is_refused() -> None:
    verdict = ruleset.load(["lora-v2.1"], SPACE).check_point(TRIAL_4)
    assert verdict.verdict == "refused"
    assert set(verdict.refused_by) == {
        "eight-bit-needs-low-lr",
        "alpha-equals-dim",
        "high-lr-needs-accumulation",
        "high-alpha-needs-safeguards",
        "very-high-alpha-needs-low-lr",
    }
    assert all(violation > 0 for violation in verdict.violations.values())
    assert verdict.violations["high-alpha-needs-safeguards"] == pytest.approx(0.25 / 0.65)


def test_soft_rules_multiply_their_weights_and_refuse_nothing() -> None:
    found = rules("discourage: network_dim == 64, weight: 0.5", "discourage: max_train_epochs == 12, weight: 0.25")
    both = found.check_point({**TRIAL_4, "network_dim": 64, "max_train_epochs": 12})
    assert (both.verdict, both.weight, both.discouraged_by) == ("discouraged", 0.125, ("r0", "r1"))
    none = found.check_point(TRIAL_4)
    assert (none.verdict, none.weight) == ("accepted", 1.0)
    columns = {name: np.array([TRIAL_4[name]] * 2, dtype=object) for name in ("network_dim", "max_train_epochs")}
    columns["network_dim"][0] = 64
    assert found.check(columns).weight.tolist() == [0.5, 1.0]


def test_require_names_every_missing_safeguard() -> None:
    found = rules("when: network_alpha_ratio >= 0.75, require: [max_train_epochs >= 16, lr_warmup_steps >= 150]")
    point = {**TRIAL_4, "network_alpha_ratio": 0.8, "max_train_epochs": 16, "lr_warmup_steps": 100}
    assert found.check_point(point).refused_by == ("r0",)
    assert found.check_point({**point, "lr_warmup_steps": 150}).verdict == "accepted"
    assert found.check_point({**point, "network_alpha_ratio": 0.7}).verdict == "accepted"
    (sentence,) = explain.sentences(found, point)
    assert sentence == (
        "refused by r0: network_alpha_ratio 0.8 is at least 0.75 and lr_warmup_steps 100 is below 150. x"
    )


def test_computed_numbers_are_equal_when_they_nearly_are() -> None:
    found = rules("refuse: network_dim * 0.1 == 12.8", "refuse: network_alpha_ratio == 0.7", "refuse: 0.1 * 7 == 0.7")
    assert found.check_point({**TRIAL_4, "network_alpha_ratio": 0.25 + 9 * 0.05}).refused_by == ("r0", "r1", "r2")


def test_a_parameter_that_is_not_set_leaves_its_rules_aside() -> None:
    found = rules(
        "refuse: lr_scheduler_num_cycles > 2",
        "refuse: lr_scheduler_num_cycles > 2 or network_dim == 128",
        "refuse: is_set(lr_scheduler_num_cycles) and lr_scheduler_num_cycles < 9",
        "refuse: not is_set(lr_scheduler_num_cycles)",
    )
    assert found.check_point(TRIAL_4).refused_by == ("r1", "r3")
    assert found.check_point({**TRIAL_4, "lr_scheduler_num_cycles": None}).refused_by == ("r1", "r3")
    restarts = {**TRIAL_4, "lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 3}
    assert found.check_point(restarts).refused_by == ("r0", "r1", "r2")
    cycles = {"lr_scheduler_num_cycles": np.array([np.nan, 3.0]), "network_dim": np.array([128, 128])}
    assert found.check(cycles).refused.T.tolist() == [[False, True, False, True], [True, True, True, False]]


@pytest.mark.parametrize(
    ("condition", "point", "reason"),
    [
        ("network_dim / (lr_warmup_steps - 100) > 1", {}, "network_dim / (lr_warmup_steps - 100) has no value here"),
        ("log(network_dim - 128) > 1", {}, "log(network_dim - 128) has no value here"),
        ("estimate.vram_gb > gpu.vram_gb", {}, "estimate.vram_gb has no value"),
        ("network_dim > 300", {"network_dim": None}, "network_dim has no value"),
        ("network_dim > 300", {"network_dim": math.nan}, "network_dim has no value here"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(condition: str, point: dict[str, Any], reason: str) -> None:
    verdict = rules(f"refuse: {condition}").check_point({**TRIAL_4, **point})
    assert verdict.refused_by == ("r0",)
    assert verdict.violations == {"r0": 1.0}
    assert verdict.undecided == {"r0": f"could not be decided: {reason}"}


def test_a_part_that_settles_the_rule_makes_the_rest_unimportant() -> None:
    found = rules(
        "refuse: network_dim == 64 and 1 / (network_dim - 128) > 0", "refuse: network_dim == 128 or gpu.count > 1"
    )
    verdict = found.check_point(TRIAL_4)
    assert verdict.refused_by == ("r1",)
    assert verdict.undecided == {}


def test_facts_may_hold_for_all_points_or_for_each() -> None:
    found = rules("refuse: estimate.vram_gb > gpu.vram_gb - 1", facts={"gpu.vram_gb": 24.0})
    facts = {"estimate.vram_gb": np.array([20.0, 23.5, np.nan])}
    verdicts = found.check({"network_dim": np.array([64, 64, 64])}, facts)
    assert verdicts.refused.tolist() == [[False, True, True]]
    assert verdicts.undecided.tolist() == [[False, False, True]]
    assert found.check_point(TRIAL_4, {"estimate.vram_gb": 20.0}).verdict == "accepted"


def test_violation_tells_barely_from_far_on_the_scale_of_the_parameter() -> None:
    found = rules("refuse: learning_rate > 1e-4", "refuse: max_train_epochs < 20 and network_dim > 64")
    far = found.check_point({**TRIAL_4, "learning_rate": 1.2e-4, "max_train_epochs": 12, "network_dim": 128}).violations
    assert far["r0"] == pytest.approx(math.log(1.2) / math.log(2))
    assert far["r1"] == pytest.approx(min(8 / 8, 64 / 192))


# -- while it runs, and on its result ----------------------------------------------------------------------------------


def test_a_running_trial_is_stopped_by_what_it_reports() -> None:
    found = rules("stop: step > 20 and grad_norm > 50 * grad_norm_median", "stop: loss > 100 * learning_rate")
    assert found.watch({"step": 30, "grad_norm": 100.0, "grad_norm_median": 1.0}) == ("r0",)
    assert found.watch({"step": 10, "grad_norm": 100.0, "grad_norm_median": 1.0}) == ()
    assert found.watch({"step": 30, "grad_norm": 100.0}) == ()
    assert found.watch({"step": 30, "grad_norm": 100.0, "grad_norm_median": None}) == ()
    assert found.watch({"loss": 0.5, "learning_rate": 1e-4}) == ("r1",)


def test_a_signal_that_is_no_number_stops() -> None:
    assert rules("stop: loss > 10").watch({"loss": math.nan}) == ("r0",)


def test_results_are_constraints_in_optunas_convention() -> None:
    found = rules("expect: failure_rate <= 0.1", "expect: clip_score > 0.2", metrics={"failure_rate", "clip_score"})
    good = found.judge({"failure_rate": 0.05, "clip_score": 0.3})
    assert all(value < 0 for value in good.values())
    mixed = found.judge({"failure_rate": 0.3, "clip_score": 0.2})
    assert mixed["r0"] > 0
    assert mixed["r1"] > 0  # on the boundary, but 'above' was asked for
    assert found.judge({"failure_rate": 0.1, "clip_score": math.nan}) == {"r0": 0.0, "r1": 1.0}
    assert found.judge({}) == {"r0": 1.0, "r1": 1.0}


# -- names -------------------------------------------------------------------------------------------------------------


def test_every_mistake_of_a_file_is_reported_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "rules_version: 1\nname: bad\nruels: []\nrules:\n"
        "  - id: Not Kebab\n    refuse: learning_rte > 1\n    becuase: y\n"
        "  - id: b\n    refuse: learning_rate >\n    because: x\n"
    )
    with pytest.raises(DocumentError) as caught:
        ruleset.load([path], SPACE)
    places = [(problem.line, problem.column, problem.message.split(",")[0]) for problem in caught.value.problems]
    assert places == [
        (3, 1, "unknown key 'ruels'"),
        (5, 5, "'because' is missing"),
        (5, 9, "an id is words in lower case joined by '-'"),
        (7, 5, "unknown key 'becuase'"),
        (9, 28, "is not an expression"),
    ]
    assert "^" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("refuse: lerning_rate > 1", "'lerning_rate' is not known here (did you mean 'learning_rate'?)"),
        (
            "refuse: optimizer_type > 3",
            "'optimizer_type' is text, which has no order (compare numbers, or use == or !=)",
        ),
        ('refuse: learning_rate > "high"', "'\"high\"' is text, which has no order (compare numbers, or use == or !=)"),
        (
            "refuse: learning_rate",
            "'learning_rate' is a number, where true or false is needed (compare it with something, as in 'x > 0')",
        ),
        ("refuse: optimizer_type == 3", "'optimizer_type == 3' compares text with a number"),
        ("refuse: optimizer_type + 1 > 2", "'optimizer_type' is text, where a number is needed"),
        ("refuse: loss > 3", "'loss' is not known here (it is only known while a trial runs; use it in a 'stop' rule)"),
        (
            "refuse: score > 3",
            "'score' is not known here (it is only known when a trial has ended; use it in an 'expect' rule)",
        ),
        (
            "stop: score > 3",
            "'score' is not known here (it is only known when a trial has ended; use it in an 'expect' rule)",
        ),
        ("expect: scores > 3", "'scores' is not known here (did you mean 'score'?)"),
        (
            "refuse: (network_dim > 1) == (network_dim > 2)",
            "'(network_dim > 1) == (network_dim > 2)' compares two truths (use 'and', 'or' and 'not')",
        ),
        (
            "refuse: network_dim > 1, stop: loss > 1",
            "rule 'r0' needs exactly one of refuse, require, discourage, stop, expect; it has refuse and stop",
        ),
        (
            "discourage: network_dim > 1",
            "rule 'r0' needs a weight between 0 and 1 (weight: 0.25 proposes such points a quarter as often)",
        ),
        ("refuse: network_dim > 1, weight: 0.5", "only a 'discourage' rule has a weight"),
        (
            "refuse: network_dim == 1 and ratio > spike",
            "'ratio' is derived from 'loss', which is not known here "
            "(it is only known while a trial runs; use it in a 'stop' rule)",
        ),
    ],
)
def test_mistakes_are_found_when_the_file_is_loaded(entry: str, message: str) -> None:
    entry = "refuse: ratio > 3" if "spike" in entry else entry
    assert message in messages(entry, head="derived: {ratio: loss / 3}", metrics={"score"})


def test_a_study_parameter_takes_the_place_of_a_derived_value_of_its_name() -> None:
    derived = "{network_alpha: network_dim * network_alpha_ratio, network_alpha_ratio: network_alpha / network_dim}"
    head = f"parameters: [network_alpha_ratio]\nderived: {derived}"
    entry = "refuse: network_alpha_ratio >= 1 and network_alpha >= network_dim"
    assert rules(entry, head=head).check_point(TRIAL_4).refused_by == ("r0",)
    space = {name: domain for name, domain in SPACE.items() if name != "network_alpha_ratio"}
    with_alpha = {**space, "network_alpha": Domain("network_alpha", "choice", choices=(64, 128))}
    assert rules(entry, head=head, space=with_alpha).check_point({**TRIAL_4, "network_alpha": 128}).refused_by == (
        "r0",
    )
    neither = rules(entry, head=head, space=space)
    assert neither.absent == ("network_alpha_ratio",)
    assert neither.check_point(TRIAL_4).verdict == "accepted"


def test_a_declared_parameter_that_the_study_lacks_leaves_its_rules_aside_and_is_named() -> None:
    found = rules(
        "refuse: noise_offset > 0.1", "refuse: network_dim == 128", head="parameters: [noise_offset, network_dim]"
    )
    assert found.absent == ("noise_offset",)
    assert found.check_point(TRIAL_4).refused_by == ("r1",)


def test_a_declared_parameter_that_is_all_but_the_studys_is_a_slip() -> None:
    assert messages("refuse: network_dims > 3", head="parameters: [network_dims]") == [
        "the study has no parameter 'network_dims' (did you mean 'network_dim'?)"
    ]


def test_fixed_parameters_are_constants() -> None:
    found = rules(
        "refuse: resolution > 512 and mixed_precision == 'fp16'", fixed={"resolution": 768, "mixed_precision": "fp16"}
    )
    assert found.check_point(TRIAL_4).refused_by == ("r0",)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("derived: {a: b + 1, b: a + 1}", "derived values depend on each other: a, b"),
        ("limits: {network_dim: 3}", "the study has a parameter or fact 'network_dim', so no limit can be called that"),
        ("limits: {a: 1}\nderived: {a: network_dim}", "'a' already has another meaning (choose another name)"),
        ("limits: {if: 1}", "'if' already has another meaning (choose another name)"),
        ("derived: {a: network_dim + optimizer_type}", "'optimizer_type' is text, where a number is needed"),
    ],
)
def test_names_of_a_file_must_make_sense(head: str, message: str) -> None:
    assert message in messages("refuse: network_dim > 1", head=head)


def test_rules_of_one_id_are_refused_in_one_file_and_in_two() -> None:
    text = "rules_version: 1\nname: a\nrules: [{id: same, refuse: network_dim > 1, because: x}]\n"
    with pytest.raises(DocumentError, match=r"rule 'same' is also in one\.yaml"):
        ruleset.load([RuleText(text, "one.yaml"), RuleText(text, "two.yaml")], SPACE)


def test_an_unknown_library_name_suggests_the_nearest() -> None:
    with pytest.raises(DocumentError, match="did you mean 'lora-essentials'"):
        ruleset.load(["lora-essentals"], SPACE)


@pytest.mark.parametrize("point", [{"network_dim": "large"}, {"optimizer_type": 3}, {"network_dim": [1]}])
def test_values_of_the_wrong_kind_are_refused_with_their_name(point: dict[str, Any]) -> None:
    with pytest.raises(PointError, match=next(iter(point))):
        ruleset.load(["lora-v2.1"], SPACE).check_point({**TRIAL_4, **point})


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("network_dim", ["64", "128"]),
        ("network_dim", [[1], [2, 3]]),
        ("network_dim", [1j, 2j]),
        ("optimizer_type", [1, 2]),
    ],
)
def test_columns_of_the_wrong_kind_are_refused_with_their_name(column: str, values: list[Any]) -> None:
    found = rules('refuse: network_dim > 1 and optimizer_type == "AdamW"')
    with pytest.raises(PointError, match=f"column '{column}' must hold"):
        found.check({"network_dim": [64, 128], "optimizer_type": ["AdamW", "AdamW"], column: values})


def test_columns_of_different_lengths_are_an_error() -> None:
    columns = {"network_dim": np.array([1, 2]), "max_train_epochs": np.array([1, 2, 3])}
    with pytest.raises(PointError, match="differ in length: 2, 3"):
        rules("refuse: network_dim > max_train_epochs").check(columns)


def test_a_rule_set_keeps_its_text() -> None:
    one, other = rules("refuse: network_dim > 1"), rules("refuse: network_dim > 2")
    assert one.text != other.text
    assert one.name == "test"
    assert [(rule.id, rule.kind, rule.because) for rule in one.rules] == [("r0", "refuse", "x")]


def test_no_rules_accept_everything() -> None:
    empty = ruleset.load([], SPACE)
    assert empty.check_point(TRIAL_4).verdict == "accepted"
    assert empty.check({"network_dim": np.array([1, 2])}).accepted.tolist() == [True, True]
