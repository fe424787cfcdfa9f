import math
import multiprocessing
import pathlib

import pytest

from trainers import errors, events, failures

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


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
    reporter.tell("scored", 1, metrics={"a": math.nan}, images=[{"b": (math.inf, 1.0)}], seconds=0)
    (event,) = events.read(tmp_path / "events.jsonl")[0]
    assert event.data["metrics"] == {"a": None}
    assert event.data["images"] == [{"b": [None, 1.0]}]


def test_half_a_line_is_left_for_the_next_look(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events.jsonl"
    line = b'{"time": 1, "trial": null, "event": "job-finished", "exit_code": 0}\n'
    path.write_bytes(line + line[:20])
    told, offset = events.read(path)
    assert (len(told), offset) == (1, len(line))
    path.write_bytes(line + line)
    assert len(events.read(path, offset)[0]) == 1


def test_a_missing_file_holds_no_events_yet(tmp_path: pathlib.Path) -> None:
    assert events.read(tmp_path / "events.jsonl") == ([], 0)


def test_a_complete_line_that_is_no_event_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "events.jsonl").write_text("[]\n")
    with pytest.raises(errors.EventError, match="byte 0"):
        events.read(tmp_path / "events.jsonl")


def test_unknown_events_and_missing_fields_are_refused(tmp_path: pathlib.Path) -> None:
    reporter = events.Reporter(tmp_path / "events.jsonl")
    with pytest.raises(errors.EventError, match="is none of"):
        reporter.tell("lodaed")
    with pytest.raises(errors.EventError, match="lacks kind, message"):
        reporter.tell("failed", step=3)


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
