import pathlib

import pytest
import torch

from trainers import checkpoints, errors

CPU = torch.device("cpu")


def test_no_checkpoint_is_none(tmp_path: pathlib.Path) -> None:
    assert checkpoints.load(tmp_path, "print", CPU) is None


def test_what_was_saved_comes_back(tmp_path: pathlib.Path) -> None:
    checkpoints.save(tmp_path, {"fingerprint": "print", "weights": [torch.ones(2)]})
    state = checkpoints.load(tmp_path, "print", CPU)
    assert state is not None
    assert torch.equal(state["weights"][0], torch.ones(2))


def test_a_checkpoint_of_another_trial_is_refused(tmp_path: pathlib.Path) -> None:
    checkpoints.save(tmp_path, {"fingerprint": "other"})
    with pytest.raises(errors.JobError, match="belongs to other parameters"):
        checkpoints.load(tmp_path, "print", CPU)


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: pathlib.Path) -> None:
    checkpoints.save(tmp_path, {"fingerprint": "print"})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(errors.JobError, match="cannot be read"):
        checkpoints.load(tmp_path, "print", CPU)
