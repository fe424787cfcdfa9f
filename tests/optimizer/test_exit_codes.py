"""Errors of the other packages are told by their names, so that telling them imports nothing: the names are theirs."""

import pytest

from constraints.text import errors as constraint_errors
from optimizer import cli
from optimizer import errors as optimizer_errors
from storage import errors as storage_errors
from trainers.contract import errors as trainer_errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (storage_errors.DatabaseUnreachable("away"), 4),
        (optimizer_errors.ServiceUnreachable("away"), 4),
        (storage_errors.NotFound("no such study"), 2),
        (constraint_errors.PointError("no number"), 2),
        (trainer_errors.JobError("no job"), 2),
        (ValueError("a bug"), None),
    ],
)
def test_each_error_has_the_exit_code_of_its_kind(error: Exception, code: int | None) -> None:
    assert cli.exit_code(error) == code
