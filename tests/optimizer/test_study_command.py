"""What `tuneguard study run` says when it ends."""

from optimizer.cli.study import run


def test_a_stopped_run_names_the_command_that_ends_at_the_same_trial() -> None:
    assert run.going_on("mine", None, 12) == "the same command goes on where it stopped"
    assert run.going_on("mine", 3, 15) == "`tuneguard worker run mine --until 15` goes on where it stopped"
