"""Proofs against brute force, over random small spaces and rule sets."""

import itertools
import random

import numpy as np
import pytest

from constraints.judging.judge import Judge
from constraints.names.domain import Domain
from constraints.proving import examine, sample
from constraints.proving.prove import Prover
from constraints.rules import ruleset
from constraints.rules.ruleset import RuleSet, RuleText

FINITE = ("size", "ratio", "count", "kind", "flag", "cycles", "many")
THRESHOLDS = ["0.3", "0.45", "0.5", "0.7", "1", "2", "3", "64", "100", "128", "12.8", "44.8", "150"]


def random_space(chance: random.Random, continuous: bool) -> dict[str, Domain]:
    """Two to four parameters, sometimes one that is set only under a condition, sometimes a continuous one."""
    possible = [
        Domain("size", "choice", choices=tuple(chance.sample([32, 64, 128, 256], chance.randint(1, 4)))),
        Domain("ratio", "float", 0.25, chance.choice([0.5, 0.7, 0.9]), 0.05),
        Domain("count", "int", chance.randint(-1, 1), chance.randint(1, 4)),
        Domain("kind", "choice", choices=("a", "b", "c")[: chance.randint(1, 3)]),
        Domain("flag", "choice", choices=(True, False)),
        Domain("many", "int", 0, 90),
    ]
    chosen = chance.sample(possible, chance.randint(1, 3))
    if any(domain.name == "flag" for domain in chosen):
        chosen.append(Domain("cycles", "int", 1, 3, when="flag"))
    if continuous:
        chosen.append(Domain("rate", "float", 0.25, chance.choice([0.5, 1.0, 2.0]), log=chance.random() < 0.5))
    return {domain.name: domain for domain in chosen}


def random_truth(chance: random.Random, space: dict[str, Domain], depth: int) -> str:
    if depth and chance.random() < 0.5:
        one, other = (random_truth(chance, space, depth - 1) for _ in range(2))
        return chance.choice([f"({one} and {other})", f"({one} or {other})", f"(not {one})"])
    name = chance.choice(sorted(space))
    if name == "kind":
        return chance.choice(['kind == "a"', 'kind != "b"', 'kind in ["a", "c"]', 'kind not in ["b"]'])
    if name == "flag":
        return chance.choice(["flag", "not flag", "flag == True"])
    if name == "cycles" and chance.random() < 0.3:
        return "is_set(cycles)"
    number = name
    others = [other for other in space if other not in ("kind", "flag")]
    if chance.random() < 0.4:
        other = chance.choice(others)
        number = chance.choice(
            [
                f"{name} + {other}",
                f"{name} - {other}",
                f"{name} * {other}",
                f"abs({name} - {other})",
                f"max({name}, {other})",
            ]
            + ([f"{name} / {other}", f"{name} % {other}"] if {name, other} <= set(FINITE) else [])
        )
    return f"{number} {chance.choice(['<', '<=', '>', '>=', '==', '!='])} {chance.choice(THRESHOLDS)}"


def random_rules(chance: random.Random, space: dict[str, Domain]) -> RuleSet:
    lines = ["rules_version: 1", "name: random", "rules:"]
    for at in range(chance.randint(1, 5)):
        condition = random_truth(chance, space, 2)
        lines.append(f"  - {{id: rule-{at}, refuse: '{condition}', because: it is random}}")
    return ruleset.load([RuleText("\n".join(lines), "random.yaml")], space)


def brute_force(rules: RuleSet) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every point of a space (a continuous parameter at 41 values) and what each rule refuses of them."""
    grids = []
    for domain in rules.space.values():
        grids.append(np.linspace(domain.low, domain.high, 41) if domain.points() == np.inf else domain.grid())
    table = list(itertools.product(*grids))
    columns = {}
    for at, (name, domain) in enumerate(rules.space.items()):
        kind = object if domain.value_kind == "text" else float
        columns[name] = np.array([row[at] for row in table], dtype=kind)
    if "cycles" in columns:
        columns["cycles"][columns["flag"] == 0] = np.nan
    verdicts = rules.check(columns)
    return dict(zip(verdicts.rule_ids, verdicts.refused, strict=True)), columns


def compare(seed: int, continuous: bool) -> None:
    """Every answer of the prover: exact where the space is finite, never wrong about what cannot be elsewhere."""
    chance = random.Random(seed)
    space = random_space(chance, continuous)
    rules = random_rules(chance, space)
    refused, columns = brute_force(rules)
    ids = list(refused)
    prover = Prover(rules.rules, space, rules.scope, {}, seconds=60)
    everything = np.array([refused[id_] for id_ in ids])

    def agrees(answer: bool | None, truth: bool) -> bool:
        if answer is None:
            return bool(prover.reasons)
        return answer is truth or (continuous and answer)

    for at, id_ in enumerate(ids):
        others = [other for other in ids if other != id_]
        alone = refused[id_] & ~np.delete(everything, at, axis=0).any(axis=0)
        assert agrees(prover.some([id_], []), bool(refused[id_].any())), (seed, id_)
        assert agrees(prover.some([], [id_]), not refused[id_].all()), (seed, id_)
        assert agrees(prover.some([id_], others), bool(alone.any())), (seed, id_)
    kept = ~everything.any(axis=0)
    assert agrees(prover.some([], ids), bool(kept.any())), seed
    clash = prover.clash([], ids)
    if clash:
        members = np.array([refused[id_] for id_ in clash])
        assert members.any(axis=0).all(), seed
        if not continuous and not prover.reasons:
            for at in range(len(clash)):
                assert not np.delete(members, at, axis=0).any(axis=0).all(), (seed, clash)
    for name, domain in space.items():
        if domain.points() <= 64:
            for at, value in enumerate(domain.grid()):
                found = bool((kept & (columns[name] == value)).any())
                assert agrees(prover.reachable(ids, name, at), found), (seed, name, value)


@pytest.mark.parametrize("seed", range(60))
def test_proofs_agree_with_brute_force_on_finite_spaces(seed: int) -> None:
    compare(seed, continuous=False)


@pytest.mark.parametrize("seed", range(1000, 1040))
def test_proofs_never_deny_what_a_continuous_space_shows(seed: int) -> None:
    compare(seed, continuous=True)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_a_thousand_more_random_spaces_agree_with_brute_force(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        compare(seed, continuous=seed % 3 == 0)


# -- the source experiment ---------------------------------------------------------------------------------------------

V2 = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 6e-5, 1.2e-4, log=True),
        Domain("network_dim", "choice", choices=(64, 128, 256)),
        Domain("network_alpha_ratio", "float", 0.25, 0.9, 0.05),
        Domain("max_train_epochs", "choice", choices=(12, 16, 20)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit", "Prodigy")),
        Domain("lr_warmup_steps", "choice", choices=(50, 100, 150, 200)),
        Domain("gradient_accumulation_steps", "choice", choices=(1, 2, 4)),
    )
}


def test_the_source_experiments_two_dead_rules_are_found() -> None:
    found = examine.examine(ruleset.load(["lora-v2.1"], V2))
    by_id = {finding.id: finding for finding in found.rules}
    dead = {id_ for id_, finding in by_id.items() if finding.status == "never-fires"}
    assert dead == {"eight-bit-needs-low-lr", "alpha-equals-dim"}
    assert by_id["eight-bit-needs-low-lr"].why == "learning_rate never exceeds 0.00012 here"
    assert {finding.status for finding in found.rules} == {"never-fires", "live"}
    assert found.contradiction == ()
    # 61.08 %: counted over a grid of 4,000 learning rates at every combination of the other parameters
    assert found.feasible_share == pytest.approx(0.6108, abs=4 * found.standard_error + 1e-4)


def rules_of(*conditions: str, space: dict[str, Domain] | None = None) -> RuleSet:
    lines = [f"  - {{id: r{at}, refuse: '{condition}', because: x}}" for at, condition in enumerate(conditions)]
    text = "\n".join(["rules_version: 1", "name: r", "rules:", *lines])
    return ruleset.load([RuleText(text, "r.yaml")], space or V2)


def statuses(rules: RuleSet) -> list[str]:
    return [finding.status for finding in examine.examine(rules).rules]


def test_a_rule_that_another_covers_is_redundant() -> None:
    found = examine.examine(rules_of("learning_rate > 8e-5", "learning_rate > 1e-4"))
    assert [finding.status for finding in found.rules] == ["live", "redundant"]
    assert found.rules[1].why == "whatever it refuses, r0 refuses too"


def test_clashing_rules_are_named_and_no_others() -> None:
    found = examine.examine(rules_of("learning_rate > 9e-5", "network_dim == 64", "learning_rate < 1e-4"))
    assert found.feasible is False
    assert found.feasible_share == 0
    assert found.contradiction == ("r0", "r2")
    assert "nothing is feasible" in found.render()


def test_facts_that_are_given_at_each_point_are_sampled_and_missing_ones_refuse() -> None:
    rules = rules_of("total_steps > 50", "gpu.vram_gb < 8 and network_dim == 64", "gpu.count > 4", "network_dim == 256")
    free = examine.examine(rules)
    assert "total_steps, not known here" in free.rules[0].why
    assert free.feasible_share == pytest.approx(2 / 3, abs=1e-3)

    found = examine.examine(
        rules, facts_at=lambda columns: {"total_steps": columns["max_train_epochs"] * 3, "gpu.count": 1}
    )
    steps, memory, count, dim = found.rules
    # 20 epochs are 60 steps, 12 and 16 are not more than 50
    assert (steps.status, steps.refused_share) == ("live", pytest.approx(1 / 3, abs=1e-3))
    assert (memory.status, memory.refused_share) == ("live", pytest.approx(1 / 3, abs=1e-3))
    assert memory.why == "gpu.vram_gb cannot be known on this machine: it refuses what it cannot decide"
    assert count.status == "not-decided"
    assert "z3 knows nothing of gpu.count" in count.why
    assert (dim.status, dim.why) == ("live", "")
    assert found.feasible_share == pytest.approx(2 / 9, abs=1e-3)


def test_a_rule_on_facts_that_its_parameters_alone_keep_quiet_is_proved_to_never_fire() -> None:
    rules = rules_of('optimizer_type == "Lion" and total_steps > 5')
    (found,) = examine.examine(rules, facts_at=lambda columns: {"total_steps": 10.0}).rules
    assert (found.status, found.why) == ("never-fires", "optimizer_type is never Lion here")


def test_a_rule_that_refuses_everything_always_fires() -> None:
    assert statuses(rules_of("learning_rate < 1")) == ["always-fires"]


def test_values_and_ranges_that_no_feasible_point_uses_are_listed() -> None:
    found = examine.examine(rules_of("learning_rate > 1e-4", "network_dim == 64", 'optimizer_type == "Prodigy"'))
    assert found.unreachable["network_dim"] == (64,)
    assert found.unreachable["optimizer_type"] == ("Prodigy",)
    ((low, high),) = found.unreachable["learning_rate"]
    assert (low, high) == (pytest.approx(1e-4, rel=1e-3), 1.2e-4)
    assert found.unreachable["learning_rate"] == ((low, high),)


def test_what_z3_cannot_express_is_sampled_and_says_so() -> None:
    found = examine.examine(rules_of("log(learning_rate) > 0", "log(learning_rate) < -9.4"))
    assert found.rules[0].status == "not-decided"
    assert found.rules[0].why.startswith("sampled, not proved")
    assert found.rules[1].status == "live"


def test_functions_of_parameters_with_few_values_are_proved_by_the_rules_themselves() -> None:
    assert statuses(rules_of("log(network_dim) > 5.6", "sqrt(network_dim) > 15.9")) == ["never-fires", "live"]


def test_rules_over_unknown_facts_do_not_spoil_the_shares() -> None:
    found = examine.examine(rules_of("estimate.vram_gb > gpu.vram_gb - 1", "network_dim == 64"))
    assert found.feasible_share == pytest.approx(2 / 3, abs=0.01)
    assert found.rules[0].status == "live"
    assert found.rules[0].why == "depends on estimate.vram_gb and gpu.vram_gb, not known here"


def test_a_small_finite_space_is_counted_point_by_point() -> None:
    space = {"size": Domain("size", "choice", choices=(1, 2, 3, 4))}
    found = examine.examine(rules_of("size > 3", space=space))
    assert (found.feasible_share, found.standard_error, found.exact) == (0.75, 0.0, True)


def test_the_standard_error_of_a_share_is_honest() -> None:
    space = {"a": Domain("a", "float", 0, 1), "b": Domain("b", "float", 0, 1)}
    rules = rules_of("a * a + b * b > 1", space=space)
    misses = 0
    for seed in range(20):
        drawn = sample.draw(space, {}, seed)
        judged = Judge(rules.rules).check(drawn.columns, drawn.points)
        share, error = drawn.share(judged.broken[0])
        misses += abs(share - (1 - np.pi / 4)) > 3 * error
    assert misses <= 1


def test_proofs_that_run_out_of_time_say_not_decided() -> None:
    found = examine.examine(rules_of("learning_rate > 1.2e-4"), seconds=0)
    assert found.rules[0].status == "not-decided"
    assert "time limit" in found.rules[0].why
