import json
import math
import multiprocessing
import pathlib

import pytest

from trainers.contract import errors, events, failures

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def test_what_is_told_is_read_in_order(tmp_path: pathlib.Path) -> None:
    reporter = events.Reporter(tmp_path / "new" / "events.jsonl")
    reporter.tell("loaded", 4, seconds=1.5)
    reporter.tell("job-finished", exit_code=0)
    told, offset = events.read(tmp_path / "new" / "events.jsonl")
    assert [(each.event, each.trial, each.data) for each in told] == [
        ("loaded", 4, {"seconds": 1.5}),
        ("job-finished", None, {"exit_code": 0}),
    ]
    assert events.read(tmp_path / "new" / "events.jsonl", offset) == ([], offset)


def test_nonfinite_numbers_become_null_at_any_depth(tmp_path: pathlib.Path) -> None:
    reporter = events.Reporter(tmp_path / "events.jsonl")
    reporter.tell("scored", 1, metrics={"a": math.nan}, images=[{"path": "a.png", "b": (math.inf, 1.0)}], seconds=0)
    (event,) = events.read(tmp_path / "events.jsonl")[0]
    assert event.data["metrics"] == {"a": None}
    assert event.data["images"] == [{"path": "a.png", "b": [None, 1.0]}]


def test_half_a_line_is_left_for_the_next_look(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = b'{"time": 1, "trial": null, "event": "job-finished", "exit_code": 0}\n'
    path.write_bytes(whole + whole[:20])
    told, offset = events.read(path)
    assert (len(told), offset) == (1, len(whole))
    path.write_bytes(whole + whole)
    assert len(events.read(path, offset)[0]) == 1


def test_a_missing_file_holds_no_events_yet(tmp_path: pathlib.Path) -> None:
    assert events.read(tmp_path / "events.jsonl") == ([], 0)


def line(event: str, at: float = 1.0, trial: int | None = 0, **fields: object) -> str:
    """A line as a script writes it that does so by itself."""
    return json.dumps({"time": at, "trial": trial, "event": event, **fields}) + "\n"


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        pytest.param("[]\n", "no event", id="no object"),
        pytest.param("loss 0.3\n", "no JSON", id="no JSON"),
        pytest.param("[" * 100_000 + "\n", "no JSON", id="too deep"),
        pytest.param('{"time": 1, "event": "loaded", "seconds": 1}\n', "with time, trial and event", id="no trial"),
        pytest.param(line("lodaed", seconds=1), "is none of", id="unknown"),
        pytest.param(line("failed", step=1), "lacks kind, message", id="lacks fields"),
        pytest.param(line("scored", metrics=[1], images=[], seconds=0), "has metrics [1]", id="wrong kind"),
        pytest.param(line("scored", metrics={}, images=["a.png"], seconds=0), "has images", id="wrong pictures"),
        pytest.param(line("trial-finished", outcome="done", seconds={}), "has outcome 'done'", id="wrong outcome"),
        pytest.param(line("saved", path="a", sha256="sha256:" + "0" * 64), "has sha256", id="more than a column takes"),
        pytest.param(line("job-finished", exit_code=2**40), "has exit_code", id="a number beyond four bytes"),
        pytest.param(line("failed", kind="\x00", step=1, message=""), "without NUL", id="NUL"),
        pytest.param(line("stopped", rule="slow", step="ten"), "has step 'ten'", id="a step in words"),
    ],
)
def test_a_line_that_is_no_event_is_left_out_and_named_once(tmp_path: pathlib.Path, spoiled: str, why: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("loaded", seconds=1) + spoiled + line("job-finished", exit_code=0))
    reader = events.Reader(path)
    assert [event.event for event in reader.fresh()] == ["loaded", "job-finished"]
    assert reader.fresh() == []
    (problem,) = reader.problems
    assert problem.startswith(f"{path}:2: ")
    assert why in problem


def test_numbers_that_are_none_are_null_whoever_wrote_them(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    metrics = '{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1' + "0" * 400 + ', "e": 0.5}'
    scored = f'{{"time": 1, "trial": 0, "event": "scored", "images": [], "seconds": 0, "metrics": {metrics}}}\n'
    path.write_text(scored)
    (event,) = events.read(path)[0]
    assert event.data["metrics"] == {"a": None, "b": None, "c": None, "d": None, "e": 0.5}


def test_a_file_that_was_made_shorter_is_read_on_without_telling_anything_twice(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [line("checkpoint", at, step=at) for at in range(1, 6)]
    path.write_text("".join(lines[:4]))
    reader = events.Reader(path)
    assert len(reader.fresh()) == 4
    path.write_text("".join(lines[:2]))
    assert reader.fresh() == []
    path.write_text("".join([*lines[:2], lines[4], line("job-finished", 6, exit_code=0)]))
    assert [event.time for event in reader.fresh()] == [5, 6]
    assert reader.problems == []


def test_a_file_that_was_cut_and_grew_beyond_where_it_was_is_read_again(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("checkpoint", 1, step=1) + line("checkpoint", 2, step=2))
    reader = events.Reader(path)
    reader.fresh()
    path.write_text(line("checkpoint", 3, step=3, padding="x" * 500) + line("job-finished", 4, exit_code=0))
    assert [event.time for event in reader.fresh()] == [3, 4]


def test_an_event_that_was_written_behind_a_cut_one_is_not_lost(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("checkpoint", 1, step=1)[:30] + line("job-finished", 2, exit_code=0))
    reader = events.Reader(path)
    assert [event.event for event in reader.fresh()] == ["job-finished"]
    assert len(reader.problems) == 1


def test_unknown_events_and_missing_fields_are_refused(tmp_path: pathlib.Path) -> None:
    reporter = events.Reporter(tmp_path / "events.jsonl")
    with pytest.raises(errors.EventError, match="is none of"):
        reporter.tell("lodaed")
    with pytest.raises(errors.EventError, match="lacks kind, message"):
        reporter.tell("failed", step=3)
    with pytest.raises(errors.EventError, match="has exit_code 'done'; it must be a whole number"):
        reporter.tell("job-finished", exit_code="done")


def _tell_many(path: pathlib.Path, number: int) -> None:
    reporter = events.Reporter(path)
    for step in range(200):
        reporter.tell("checkpoint", number, step=step, padding="x" * 500)


def test_lines_of_several_processes_never_mix(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_tell_many, args=(path, number)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    told, _ = events.read(path)
    for number in range(2):
        assert [event.data["step"] for event in told if event.trial == number] == list(range(200))


def test_the_page_on_events_names_every_event_field_and_failure_kind() -> None:
    page = (CHECKOUT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    for event, fields in events.FIELDS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{event}` |")]
        assert all(f"`{field}`" in row for field in fields), event
    for failure in failures.KINDS.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{failure.kind}` |")]
        assert ("| yes |" in row) == failure.fatal, failure.kind
