"""`tuneguard study enqueue`: a point of a person's own."""

import click

from optimizer.cli import options


@click.command("enqueue")
@click.argument("name")
@click.option("--params", required=True, help='A point as JSON, e.g. \'{"learning_rate": 1e-4, "network_dim": 64}\'.')
@click.option(
    "--anyway", is_flag=True, help="Enqueue it although the rules refuse it now; they may have changed by then."
)
@options.as_json
def command(name: str, params: str, anyway: bool, as_json: bool) -> None:
    """Ask for a point of your own; the rules judge it now, and again when its turn comes.

    \b
    Example:
      tuneguard study enqueue quickstart --params '{"learning_rate": 0.004}'
    """
    from optimizer import errors, opening, remembered, settings
    from optimizer.designs import asked
    from optimizer.results import reading
    from optimizer.rules import book as rulebook
    from optimizer.study import points
    from optimizer.study import resolved as studies

    point = points.read(params)
    services = opening.existing(settings.read())
    stored, study = reading.stored_study(services.database, name)
    studies.check_point(study, point)
    rules = rulebook.newest(services.database, study, stored.facts.rule_sets or ())
    refused = asked.refused_by(study, rules, remembered.stored_situation(services.database, study), point)
    if refused and not anyway:
        raise errors.BadInput(
            f"--params: {', '.join(refused)} refuse{'s' if len(refused) == 1 else ''} this point; change it, change "
            "the rule, or enqueue it with --anyway"
        )
    reading.open_optuna(services.database, services.optuna_storage, study).enqueue_trial(point)
    if as_json:
        options.print_json({"name": name, "params": point})
    else:
        click.echo("enqueued; the next worker takes it first")
