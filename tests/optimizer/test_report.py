import dataclasses
import datetime
import io
import json
import pathlib
import random
import re
import warnings
from typing import Any

import optuna
import pytest
from PIL import Image, ImageDraw

from constraints.names import world as worlds
from optimizer import errors
from optimizer.report import curves, figures, grid, html, importance
from optimizer.report import records as report_records
from optimizer.results import ledger, records, repeats
from trainers.contract import events

OBJECTIVES: dict[str, worlds.Direction] = {"clip_score": "maximize", "failure_rate": "minimize"}
DISTRIBUTIONS: dict[str, optuna.distributions.BaseDistribution] = {
    "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
    "network_dim": optuna.distributions.CategoricalDistribution([4, 8, 16]),
    "optimizer_type": optuna.distributions.CategoricalDistribution(["AdamW", "Prodigy"]),
    "d_coef": optuna.distributions.FloatDistribution(0.5, 64.0, log=True),
    "style": optuna.distributions.CategoricalDistribution(["</script><b>", "plain"]),
}
PROMPTS = ("a <zug> creature on a red ground", "a <zug> creature at night", 'held "out" & odd </script>')


def drawing(seed: int, edge: int = 64) -> bytes:
    chance = random.Random(seed)
    image = Image.new("RGB", (edge, edge), tuple(chance.randrange(256) for _ in range(3)))
    box = sorted(chance.randrange(edge) for _ in range(2)) * 2
    ImageDraw.Draw(image).ellipse(box, fill=tuple(chance.randrange(256) for _ in range(3)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def drawn(number: int, edge: int = 64) -> list[report_records.ShownPicture]:
    return [
        report_records.ShownPicture(
            prompt, seed, index == 2, 0.2 + 0.01 * seed, "black-images" if number == 3 else None, drawing(number, edge)
        )
        for index, prompt in enumerate(PROMPTS)
        for seed in (1, 2)
    ]


def trial(number: int, state: str = "usable", **changes: object) -> records.TrialRecord:
    chance = random.Random(number)
    usable = state == "usable"
    values = {"clip_score": chance.uniform(0.2, 0.35), "failure_rate": chance.choice([0.0, 0.0, 0.25])}
    known: dict[str, object] = {
        "number": number,
        "state": state,
        "params": {
            "learning_rate": 10 ** chance.uniform(-5, -2),
            "network_dim": chance.choice([4, 8, 16]),
            "optimizer_type": chance.choice(["AdamW", "Prodigy"]),
        },
        "values": values if usable else dict.fromkeys(values),
        "refused_by": (),
        "seconds": 17.5,
        "failure": None if usable else {"kind": "nonfinite-loss", "step": 12, "message": "the loss is <NaN>"},
        "phases": {"launch": 1.0, "load": 2.0, "train": 8.5, "sample": 4.0, "score": 2.0},
        "metrics": {**values, "clip_score_gain": 0.08, "clip_score_gain_low": 0.05, "clip_score_gain_high": 0.11},
        "images": (),
        "constraints": {},
        "lora": f"/home/runs/trial-{number:04d}/lora.safetensors" if usable else None,
        "steps": 100,
        "attempts": (),
        "rule_version": "safety@1",
    }
    return records.TrialRecord(**{**known, **changes})  # type: ignore[arg-type]


def report(trials: list[records.TrialRecord], edge: int = 64) -> report_records.ReportData:
    best = repeats.best_trial(trials, OBJECTIVES)
    return report_records.ReportData(
        name="kitten <b>",
        made_at=datetime.datetime(2026, 5, 4, 3, 2, tzinfo=datetime.UTC),
        objectives=OBJECTIVES,
        trials=trials,
        distributions={each.number: {name: DISTRIBUTIONS[name] for name in each.params} for each in trials},
        pictures={each.number: drawn(each.number, edge) for each in trials if each.state in ("usable", "unusable")},
        best=None if best is None else best.number,
        baseline=report_records.Baseline({"clip_score": 0.21, "failure_rate": 0.0}, drawn(-1, edge)),
        refused_points=34,
        refusing_rules=[
            report_records.RefusingRule("high-rate", 30, "The loss explodes above 1e-3 & never comes back."),
            report_records.RefusingRule("small-dim", 9, "Too few weights."),
        ],
        ledger=ledger.balance([ledger.Spent(17.5)] * len(trials), 34, [20.0], "calibrated by 12 finished trials"),
        rule_texts=[report_records.RulesInForce("safety@1", "rules_version: 1\n")],
        study_document="study_version: 1\n",
        environment={"torch": "2.15", "data set": "sha256 0123"},
    )


def many(count: int = 12) -> list[records.TrialRecord]:
    states = {3: "unusable", 5: "crashed", count - 1: "running"}
    return [trial(number, states.get(number, "usable")) for number in range(count)]


@pytest.mark.slow
def test_a_report_names_what_a_person_looks_for() -> None:
    data = report(many())
    page = html.render(data)
    best = data.trials[data.best or 0]
    for said in (
        f"trial {best.number}",
        "34",
        "high-rate",
        "The loss explodes above 1e-3 &amp; never comes back.",
        "the loss is &lt;NaN&gt;",
        str(best.lora),
        "untrained base",
        "launch",
        "safety@1",
        "study_version: 1",
        "95 % interval +0.05 to +0.11",
    ):
        assert said in page, said


def test_an_early_stop_is_a_state_of_its_own_and_no_failure() -> None:
    early = records.EarlyStop("pruner:asha", step=20, total_steps=160, samples=64, score=0.4)
    stopped = trial(12, "stopped-early", failure=None, early_stop=early, curve={32: 0.3, 64: 0.4})
    page = html.render(report([*many(), stopped]))
    assert 'class="badge stopped-early"' in page
    assert "pruner:asha at step 20 of 160, at 0.4 after 64 samples" in page
    assert "1 stopped-early" in page
    assert "trial 12: %{y:.4f} after %{x} samples" in page
    assert "training samples seen" not in html.render(report(many()))


def test_nothing_in_a_report_is_loaded_from_elsewhere() -> None:
    page = html.render(report(many()))
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)\w", page)


def test_what_people_wrote_cannot_become_markup() -> None:
    data = report([trial(number, params={"learning_rate": 1e-3, "style": "</script><b>"}) for number in range(4)])
    panels = figures.draw(data)
    assert any("</script><b>" in (panel.figure or "") for panel in panels)
    page = html.render(data)
    assert "<b>" not in page
    assert "<NaN>" not in page
    assert 'held "out" & odd </script>' not in page
    assert page.count("</script>") == page.count("<script")


def test_every_picture_has_a_text_and_every_table_a_caption() -> None:
    page = html.render(report(many()))
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) == 11 * 6 + 2 * 6  # the base and ten trials, then the best beside the base
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    assert page.count("<table") == page.count("<caption")
    assert page.count("<th ") == page.count("<th scope=")


@pytest.mark.parametrize("count", [0, 1, importance.FEWEST - 1, importance.FEWEST])
def test_a_study_with_few_trials_says_which_figures_wait(count: int) -> None:
    data = report([trial(number) for number in range(count)])
    panels = {panel.title: panel for panel in figures.draw(data)}
    assert (panels["Importance for clip_score"].figure is None) == (count < importance.FEWEST)
    assert (panels["History of clip_score"].figure is None) == (count < 1)
    for panel in panels.values():
        assert (panel.figure is None) != (panel.reason is None)
    page = html.render(data)
    assert ("Not enough trials yet" in page) == (count < importance.FEWEST)
    assert ("No trial is usable yet" in page) == (count == 0)


def test_objectives_that_never_differ_do_not_break_a_report() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = [trial(number, values={"clip_score": 0.3, "failure_rate": 0.0}) for number in range(6)]
        assert "kitten" in html.render(report(same))


def test_figures_keep_the_numbers_of_the_trials() -> None:
    panel = figures.draw(report(many()))[0]
    assert panel.figure is not None
    numbers = re.search(r'"mode":"markers"[^\]]*"x":\[([\d,]+)\]', panel.figure)
    assert numbers is not None
    assert numbers[1] == "0,1,2,4,6,7,8,9,10"


def with_condition(count: int, having: int) -> list[records.TrialRecord]:
    """Usable trials of which the first `having` have a parameter that the others do not."""
    made = [trial(number) for number in range(count)]
    return [
        trial(each.number, params={**each.params, **({"d_coef": 1.0 + each.number} if each.number < having else {})})
        for each in made
    ]


def panel(data: report_records.ReportData, title: str) -> dict[str, Any]:
    """A drawn figure, read back."""
    found = next(each for each in figures.draw(data) if each.title == title)
    assert found.figure is not None, found.reason
    figure: dict[str, Any] = json.loads(found.figure)
    return {**figure, "reading": found.reading}


def test_a_parameter_that_few_trials_have_is_not_called_important() -> None:
    drawn = panel(report(with_condition(20, having=4)), "Importance for clip_score")
    assert "d coef" not in drawn["data"][0]["y"]
    assert f"set in fewer than {importance.FEWEST} usable trials: d_coef (4)" in drawn["reading"]


def test_a_conditional_parameter_counts_over_the_trials_that_have_it_and_says_how_many() -> None:
    drawn = panel(report(with_condition(20, having=12)), "Importance for clip_score")
    assert "d coef" in drawn["data"][0]["y"]
    assert "Conditional parameters count over the trials that have them: d_coef over 12 of 20." in drawn["reading"]


def test_a_parameter_that_is_not_set_lies_below_its_axis_and_every_axis_has_a_title() -> None:
    drawn = panel(report(with_condition(8, having=5)), "Parallel coordinates of clip_score")
    places = [line["y"][-1] for line in drawn["data"]]
    assert sum(place < 0 for place in places) == 3
    assert all(0 <= place <= 1 for line in drawn["data"] for place in line["y"][:-1])
    texts = [label["text"] for label in drawn["layout"]["annotations"]]
    titles = [text for text in texts if text.startswith("<b>")]
    assert len(titles) == len(drawn["data"][0]["x"])
    assert titles[0] == "<b>clip<br>score</b>"
    assert titles[-1] == "<b>d<br>coef</b>"
    assert texts.count("not set") == 1
    assert "None" not in json.dumps(drawn)


@pytest.mark.slow
def test_parallel_coordinates_of_very_many_trials_show_the_best_and_say_so() -> None:
    drawn = panel(report([trial(number) for number in range(310)]), "Parallel coordinates of clip_score")
    assert len(drawn["data"]) == 300
    assert "Only the best 300 of 310 are drawn." in drawn["reading"]


def test_a_rate_is_drawn_between_0_and_1() -> None:
    data = report(many())
    assert panel(data, "History of failure_rate")["layout"]["yaxis"]["range"] == [-0.02, 1.02]
    assert panel(data, "Pareto front")["layout"]["yaxis"]["range"] == [-0.02, 1.02]
    assert "range" not in panel(data, "History of clip_score")["layout"]["yaxis"]


def test_what_trials_told_while_they_trained_is_drawn_from_their_own_event_files(tmp_path: pathlib.Path) -> None:
    for attempt, steps in ((1, range(1, 5)), (2, range(3, 700))):
        told = events.Reporter(tmp_path / f"attempt-{attempt}" / "events.jsonl")
        for step in steps:
            signals = {"loss": 1.0, "loss_ema": 10.0 * attempt, "grad_norm": 2.0, "grad_norm_median": 2.0}
            told.tell("step", 0, step=step, epoch=0, progress=0.0, learning_rate_now=1e-4, **signals)
        told.close()
    curve = curves.read(tmp_path)
    assert curve is not None
    assert (curve.steps[0], curve.steps[-1]) == (1, 699)
    assert len(curve.steps) <= 202
    assert next(iter(curve.loss)) == 10.0
    assert list(curve.loss)[-1] == 20.0
    data = dataclasses.replace(report(many(3)), curves={0: curve})
    drawn = panel(data, "Loss during training")
    assert drawn["data"][0]["y"][-1] == 20.0
    assert {"Gradient norm during training", "Learning rate during training"} <= {p.title for p in figures.draw(data)}


def test_a_spoiled_event_file_leaves_a_report_without_that_curve(tmp_path: pathlib.Path) -> None:
    (tmp_path / "attempt-1").mkdir()
    (tmp_path / "attempt-1" / "events.jsonl").write_text("no event\n", encoding="utf-8")
    assert curves.read(tmp_path) is None


def test_a_rule_that_ends_nearly_everything_is_called_out() -> None:
    data = report(many())
    doubtful = dataclasses.replace(data, ledger=dataclasses.replace(data.ledger, doubts=("the stop rule x ended 9",)))
    assert "the stop rule x ended 9" in html.render(doubtful)


def test_only_a_served_report_leads_back() -> None:
    assert "All studies" not in html.render(report(many(2)))
    assert 'href="/tuneguard/"' in html.render(report(many(2)), home="/tuneguard/")


def test_training_images_are_shown_beside_what_was_drawn() -> None:
    images = [report_records.LearntImage("zug-01.png", drawing(99))]
    page = html.render(dataclasses.replace(report(many(2)), training_images=images, training_count=16))
    assert "1 of 16 training images" in page
    assert 'alt="training image zug-01.png"' in page


def test_one_objective_has_no_pareto_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "OBJECTIVES", {"clip_score": "maximize"})
    titles = [panel.title for panel in figures.draw(report(many()))]
    assert titles == ["History of clip_score", "Importance for clip_score", "Parallel coordinates of clip_score"]


def test_the_grid_sets_each_trial_under_the_base_best_first_and_held_out_prompts_last() -> None:
    data = report(many())
    shown = grid.grid(data)
    assert shown.rows[0].trial is None
    order = [row.trial for row in shown.rows[1:] if row.trial is not None]
    assert order[0].number == data.best
    assert [each.state for each in order] == ["usable"] * 9 + ["unusable"]
    scores = [each.values["clip_score"] for each in order[:-1]]
    assert scores == sorted(scores, key=lambda score: -(score or 0))
    assert [held_out for _, _, held_out in shown.columns] == [False] * 4 + [True] * 2
    assert order[-1].number == 3
    assert {cell.failure for cell in shown.rows[-1].cells if cell} == {"black-images"}


def test_a_picture_that_is_gone_or_broken_is_said_to_be_gone() -> None:
    data = report(many(2))
    pictures = {
        0: [
            report_records.ShownPicture("p", 1, content=None),
            report_records.ShownPicture("p", 2, content=b"no picture"),
        ]
    }
    shown = grid.grid(dataclasses.replace(data, pictures=pictures, baseline=None, best=None))
    assert [cell.uri for row in shown.rows for cell in row.cells if cell] == [None, None]


def test_the_best_trials_are_seen_at_once_more_are_folded_and_the_rest_is_counted() -> None:
    data = report([trial(number) for number in range(grid.MOST_TRIALS + 5)])
    shown = grid.grid(data)
    assert len(shown.rows) == 1 + grid.OPEN_TRIALS
    assert len(shown.rows) - 1 + len(shown.folded) == grid.MOST_TRIALS
    assert shown.left_out == 5
    assert grid.grid(dataclasses.replace(data, unread_pictures=7)).left_out == 12
    page = html.render(data)
    assert f"<summary>{len(shown.folded)} more trials, smaller</summary>" in page
    assert "the pictures of 5 more are in the dashboard" in page


def test_a_report_is_written_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "report.html"
    html.write(report(many(3)), path)
    assert path.read_text().startswith("<!doctype html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(errors.BadInput, match="cannot write the report"):
        html.write(report(many(3)), path / "below-a-file.html")


@pytest.mark.parametrize(
    ("content", "shown"),
    [(None, "–"), (True, "True"), (12, "12"), (0.000123456, "0.0001235"), ("cosine", "cosine"), (float("inf"), "inf")],
)
def test_values_are_written_as_a_person_would(content: object, shown: str) -> None:
    assert html.value(content) == shown
