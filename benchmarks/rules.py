"""The rule engine against CEL, hand-written numpy and hand-written Python, in one run.

    python -m benchmarks.rules            (needs the `bench` extra: pip install -e '.[bench]')
    python -m benchmarks.rules proposals  (what a proposal notices of its rules; needs nothing)

Rules and space are the source experiment's (seven hard rules, two soft ones). Times are the best of several repeats in
one process; ratios are taken within the run. The hand-written forms do the same job: which rules are broken, the weight
and, for a single point, how far each broken rule is exceeded.
"""

import dataclasses
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.search import world
from constraints.judging.verdict import Verdict
from constraints.names.domain import Domain
from constraints.proving import examine, sample
from constraints.proving.prove import Prover
from constraints.rules import ruleset
from constraints.rules.ruleset import RuleSet, RuleText
from optimizer.designs.search.search import Search
from optimizer.study import resolved as studies
from optimizer.study import space
from tests.optimizer import searching

POINTS = 4096
#: finished trials that the search has learned from, and proposals that are timed
LEARNED = 20
PROPOSALS = 300
STUDY = "examples/lora-v2.1.yaml"
SPACE = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 6e-5, 1.2e-4, log=True),
        Domain("text_encoder_lr", "float", 3e-5, 8e-5, log=True),
        Domain("network_dim", "choice", choices=(64, 128, 256)),
        Domain("network_alpha_ratio", "float", 0.25, 0.9, 0.05),
        Domain("max_train_epochs", "choice", choices=(12, 16, 20)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit", "Prodigy")),
        Domain("lr_scheduler", "choice", choices=("cosine", "cosine_with_restarts", "polynomial")),
        Domain("lr_warmup_steps", "choice", choices=(50, 100, 150, 200)),
        Domain("gradient_accumulation_steps", "choice", choices=(1, 2, 4)),
    )
}
CEL_RULES = (
    'learning_rate > 0.00012 && optimizer_type == "AdamW8bit"',
    "network_dim * network_alpha_ratio - network_dim < 1e-6 && network_dim - network_dim * network_alpha_ratio < 1e-6",
    "network_dim >= 256.0 && max_train_epochs < 16",
    "learning_rate > 0.0001 && lr_warmup_steps < 100",
    "gradient_accumulation_steps == 1 && learning_rate > 0.00011",
    "network_alpha_ratio >= 0.75 && !(max_train_epochs >= 16 && gradient_accumulation_steps >= 2 "
    '&& optimizer_type in ["AdamW", "Prodigy"] && lr_warmup_steps >= 150)',
    "network_alpha_ratio >= 0.85 && learning_rate > 0.0001",
    "network_dim == 64.0 && max_train_epochs == 12",
    'optimizer_type == "Prodigy" && lr_warmup_steps == 200',
)


def by_hand(c: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Hand-written numpy over columns: (refused by rule, accepted, weight)."""
    lr, dim, ratio, epochs = (c[k] for k in ("learning_rate", "network_dim", "network_alpha_ratio", "max_train_epochs"))
    optimizer, warmup, accumulation = c["optimizer_type"], c["lr_warmup_steps"], c["gradient_accumulation_steps"]
    eight_bit, prodigy = optimizer == "AdamW8bit", optimizer == "Prodigy"
    high = lr > 1e-4
    safe = (epochs >= 16) & (accumulation >= 2) & ((optimizer == "AdamW") | prodigy) & (warmup >= 150)
    refused = np.stack(
        [
            (lr > 1.2e-4) & eight_bit,
            np.abs(dim * ratio - dim) < 1e-6,
            (dim >= 256) & (epochs < 16),
            high & (warmup < 100),
            (accumulation == 1) & (lr > 1.1e-4),
            (ratio >= 0.75) & ~safe,
            (ratio >= 0.85) & high,
        ]
    )
    weight = np.where((dim == 64) & (epochs == 12), 0.25, 1.0) * np.where(prodigy & (warmup == 200), 0.25, 1.0)
    return refused, ~refused.any(axis=0), weight


LR_RANGE = math.log(2.0)


def by_hand_point(p: dict[str, Any]) -> tuple[list[str], float, dict[str, float]]:
    """Hand-written Python for one point: (refused by, weight, violations)."""
    lr, dim, ratio, epochs = p["learning_rate"], p["network_dim"], p["network_alpha_ratio"], p["max_train_epochs"]
    optimizer, warmup, accumulation = p["optimizer_type"], p["lr_warmup_steps"], p["gradient_accumulation_steps"]
    by: dict[str, float] = {}
    if lr > 1.2e-4 and optimizer == "AdamW8bit":
        by["eight-bit-needs-low-lr"] = min(math.log(lr / 1.2e-4) / LR_RANGE, 1.0)
    if abs(dim * ratio - dim) < 1e-6:
        by["alpha-equals-dim"] = max((1e-6 - abs(dim * ratio - dim)) / 192, 1e-6)
    if dim >= 256 and epochs < 16:
        by["large-dim-needs-epochs"] = max(min((dim - 256) / 192, (16 - epochs) / 8), 1e-6)
    if lr > 1e-4 and warmup < 100:
        by["high-lr-needs-warmup"] = min(math.log(lr / 1e-4) / LR_RANGE, (100 - warmup) / 150)
    if accumulation == 1 and lr > 1.1e-4:
        by["high-lr-needs-accumulation"] = min(1.0, math.log(lr / 1.1e-4) / LR_RANGE)
    if ratio >= 0.75 and not (
        epochs >= 16 and accumulation >= 2 and optimizer in ("AdamW", "Prodigy") and warmup >= 150
    ):
        missing = max(
            (16 - epochs) / 8, (2 - accumulation) / 3, 1.0 if optimizer == "AdamW8bit" else -1.0, (150 - warmup) / 150
        )
        by["high-alpha-needs-safeguards"] = max(min((ratio - 0.75) / 0.65, missing), 1e-6)
    if ratio >= 0.85 and lr > 1e-4:
        by["very-high-alpha-needs-low-lr"] = max(min((ratio - 0.85) / 0.65, math.log(lr / 1e-4) / LR_RANGE), 1e-6)
    weight = 1.0
    if dim == 64 and epochs == 12:
        weight *= 0.25
    if optimizer == "Prodigy" and warmup == 200:
        weight *= 0.25
    return list(by), weight, by


def best(*works: Callable[[], Any], repeats: int = 9, least_seconds: float = 0.05) -> list[float]:
    """Seconds of one call of each: the best mean over several rounds, taken in turns on the same busy machine."""
    rounds = []
    for work in works:
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < least_seconds or count == 0:
            work()
            count += 1
        rounds.append(count)
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, count, taken in zip(works, rounds, times, strict=True):
            started = time.perf_counter()
            for _ in range(count):
                work()
            taken.append((time.perf_counter() - started) / count)
    return [min(taken) for taken in times]


def large_rules(chance: random.Random) -> RuleSet:
    """200 rules over 40 parameters."""
    space = {f"p{n}": Domain(f"p{n}", "float", 0.0, 1.0) for n in range(20)}
    space |= {f"c{n}": Domain(f"c{n}", "choice", choices=(1, 2, 4, 8)) for n in range(15)}
    space |= {f"t{n}": Domain(f"t{n}", "choice", choices=("a", "b", "c")) for n in range(5)}
    lines = ["rules_version: 1", "name: large", "rules:"]
    for number in range(200):
        a, b = (f"p{chance.randrange(20)} > {chance.uniform(0.93, 0.99):.3f}" for _ in range(2))
        c, t = (
            f"c{chance.randrange(15)} >= {chance.choice([2, 4])}",
            f't{chance.randrange(5)} == "{chance.choice("abc")}"',
        )
        condition = chance.choice([f"{a} and {b}", f"{a} and {c} and {t}", f"{a} and ({c} or {t})", f"{b} and not {t}"])
        lines.append(f"  - {{id: rule-{number}, refuse: '{condition}', because: large}}")
    return ruleset.load([RuleText("\n".join(lines), "large.yaml")], space)


def line(what: str, value: str, target: str, met: bool) -> None:
    print(f"{what:58} {value:>16}   target {target:14} {'met' if met else 'MISSED'}")


class InColumns(RuleSet):
    """Judges a point as columns of one value each, which gives the same verdict."""

    def check_point(self, params: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> Verdict:
        return super().check_point(self.columns(params), self.columns(facts or {}))

    @staticmethod
    def columns(values: Mapping[str, Any]) -> dict[str, Any]:
        return {n: np.array([each], dtype=object if isinstance(each, str) else None) for n, each in values.items()}


def learned(study: studies.Study) -> Search:
    """A search without a database that knows some trials."""
    search = world.search(study)
    chance = np.random.default_rng(0)
    forms = {name: space.distribution(domain) for name, domain in study.space.items()}
    trials: list[optuna.trial.FrozenTrial] = []
    for number in range(LEARNED):
        params = dict(searching.drawn(search).params)
        trial = optuna.trial.create_trial(
            params=params,
            distributions={name: forms[name] for name in params},
            values=chance.random(len(study.objectives)).tolist(),
        )
        trial.number = number
        search.learn([*trials, trial])
        trials.append(trial)
    return search


def proposals() -> None:
    """The share of a proposal that is spent on its rules, points being plain values or columns of one value each.

    The sampler's part of a proposal is timed, in computing time; what the database adds would only make shares smaller.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    text = world.STUDY.format(name="proposals", seed=1)
    cases = {
        "the quickstart": studies.read(world.CHECKOUT / "examples" / "quickstart" / "study.yaml"),
        "lora-essentials": studies.parse(text.replace("[lora-v2.1]", "[lora-essentials]"), "proposals"),
    }
    for name, study in cases.items():
        plain, columns = learned(study), learned(study)
        rules = plain.admission.rules
        in_columns = InColumns(**{f.name: getattr(rules, f.name) for f in dataclasses.fields(RuleSet)})
        columns.follow(dataclasses.replace(columns.admission, rules=in_columns))
        ways = {
            "plain values": (plain, Stopwatch(), Stopwatch()),
            "columns of one": (columns, Stopwatch(), Stopwatch()),
        }
        for search, _, judging in ways.values():
            there = search.admission.rules
            object.__setattr__(there, "check_point", judging.around(there.check_point))  # it is frozen
        for _ in range(PROPOSALS):
            drawn = [drawing.around(searching.drawn)(search).params for search, drawing, _ in ways.values()]
            assert drawn[0] == drawn[1]
        print(f"\n{name}: {len(rules.rules)} rules")
        for what, (_, drawing, judging) in ways.items():
            share = judging.seconds / drawing.seconds
            shown = (
                f"{judging.calls / PROPOSALS:.1f} points as {what}, {judging.seconds / judging.calls * 1e6:.0f} us each"
            )
            line(f"a proposal judges {shown}", f"{share:.1%}", "<= 5 %", share <= 0.05)


@dataclasses.dataclass
class Stopwatch:
    """Computing time within calls, and how many there were."""

    seconds: float = 0.0
    calls: int = 0

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return work(*given, **named)
            finally:
                self.seconds += time.process_time() - started
                self.calls += 1

        return timed


def main() -> None:
    import cel  # noqa: PLC0415 - only the comparison needs it

    rules = ruleset.load(["lora-v2.1"], SPACE)
    drawn = sample.draw(SPACE, {})
    columns = {name: column[:: sample.POINTS // POINTS].copy() for name, column in drawn.columns.items()}
    points = [{name: column[at].item() for name, column in columns.items()} for at in range(POINTS)]
    for point in points:
        for name in ("network_dim", "max_train_epochs", "lr_warmup_steps", "gradient_accumulation_steps"):
            point[name] = int(point[name])
    for_cel = [{**point, "network_dim": float(point["network_dim"])} for point in points]
    programs = [cel.compile(text) for text in CEL_RULES]

    refused, accepted, weight = by_hand(columns)
    verdicts = rules.check(columns)
    assert (verdicts.refused == refused).all()
    assert np.allclose(verdicts.weight, weight)
    assert [[p.execute(point) for p in programs[:7]] for point in for_cel[:200]] == refused.T[:200].tolist()
    for point in points:
        ids, _, violations = by_hand_point(point)
        verdict = rules.check_point(point)
        assert list(verdict.refused_by) == ids
        assert all(math.isclose(verdict.violations[id_], violations[id_], rel_tol=1e-6) for id_ in ids)
    print(f"{POINTS} points, {accepted.mean():.1%} accepted; all forms agree\n")

    ours, with_violation, hand, with_cel = best(
        lambda: rules.check(columns).accepted,
        lambda: rules.check(columns).violation,
        lambda: by_hand(columns),
        lambda: [[p.execute(point) for p in programs] for point in for_cel],
    )
    print(f"batch of {POINTS}: ours {ours * 1e6:.0f} us, with violations {with_violation * 1e6:.0f} us, "
          f"numpy by hand {hand * 1e6:.0f} us, CEL {with_cel * 1e3:.1f} ms")  # fmt: skip
    line("batch: checks a second, times CEL's", f"{with_cel / ours:.0f}x", ">= 50x", with_cel / ours >= 50)
    line("batch: speed as a share of hand-written numpy", f"{hand / ours:.2f}", ">= 0.5", hand / ours >= 0.5)

    some = points[:500]
    fine = [point for point in points if rules.check_point(point).verdict == "accepted"][:500]
    *single, ours_fine, hand_fine = best(
        lambda: [rules.check_point(point) for point in some],
        lambda: [by_hand_point(point) for point in some],
        lambda: [[p.execute(point) for p in programs] for point in for_cel[:500]],
        lambda: [rules.check_point(point) for point in fine],
        lambda: [by_hand_point(point) for point in fine],
    )
    ours, hand, with_cel = (seconds / len(some) for seconds in single)
    print(f"\nsingle point: ours {ours * 1e6:.2f} us, Python by hand {hand * 1e6:.2f} us, CEL {with_cel * 1e6:.1f} us")
    # no targets: a point is judged alone where a proposal or a trial waits, see `proposals`
    line("single point: time, times hand-written Python's", f"{ours / hand:.0f}x", "", True)
    line("single accepted point: the same", f"{ours_fine / hand_fine:.0f}x", "", True)

    print()
    (proofs,) = best(lambda: Prover(rules.rules, SPACE, rules.scope, {}, 5.0).some([], []), repeats=3)
    (answers,) = best(lambda: prove_all(rules), repeats=3)
    line("encoding the seven rules for z3", f"{proofs * 1e3:.0f} ms", "", True)
    line("encoding, and every rule's status by z3 alone", f"{answers * 1e3:.0f} ms", "< 200 ms", answers < 0.2)
    (whole,) = best(lambda: examine.examine(rules), repeats=3)
    line(f"the whole check, {sample.POINTS} sampled points included", f"{whole * 1e3:.0f} ms", "", True)
    command = [str(Path(sys.executable).parent / "tuneguard"), "rules", "check", "lora-v2.1", "--study", STUDY]
    (process,) = best(lambda: subprocess.run(command, capture_output=True, check=True), repeats=3)
    line("`tuneguard rules check`, the whole process", f"{process:.2f} s", "< 1 s", process < 1)
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    computing = after.children_user + after.children_system - before.children_user - before.children_system
    line("the same, computing time (the machine may be busy)", f"{computing:.2f} s", "", True)

    print()
    text_started = time.perf_counter()
    large = large_rules(random.Random(0))
    loaded = time.perf_counter() - text_started
    started = time.perf_counter()
    found = examine.examine(large)
    checked = time.perf_counter() - started
    statuses = {s: sum(f.status == s for f in found.rules) for s in ("live", "redundant", "never-fires", "not-decided")}
    table = {name: column[: sample.POINTS // 16] for name, column in sample.draw(large.space, {}).columns.items()}
    judging, margins = best(lambda: large.check(table).accepted, lambda: large.check(table).violation)
    print(f"200 rules, 40 parameters: loaded in {loaded:.2f} s; {found.feasible_share:.1%} feasible; {statuses}")
    line("200 rules, 40 parameters: check", f"{checked:.2f} s", "< 5 s", checked < 5)
    line("200 rules, 40 parameters: 4096 points", f"{judging * 1e3:.1f} ms", "< 50 ms", judging < 0.05)
    line("the same with violations", f"{margins * 1e3:.1f} ms", "", True)


def prove_all(rules: RuleSet) -> None:
    hard = [rule.id for rule in rules.rules if rule.kind in ("refuse", "require")]
    prover = Prover(rules.rules, rules.space, rules.scope, {}, 5.0)
    assert prover.some([], hard)
    for rule in hard:
        if prover.some([rule], []):
            assert prover.some([], [rule])
            assert prover.some([rule], [other for other in hard if other != rule])


if __name__ == "__main__":
    if sys.argv[1:] == ["proposals"]:
        proposals()
    else:
        main()
        proposals()
