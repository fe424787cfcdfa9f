"""`tuneguard study ...`: check, run, list, show, best, report, export, enqueue, delete."""

import json
import pathlib
from typing import TYPE_CHECKING, Any

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer import launch, records, wiring
    from optimizer import study as studies


@click.group("study")
def command() -> None:
    """Check, run, show, compare and export studies."""


@command.command("check")
@click.argument("file", type=options.FILE)
@options.as_json
def check(file: pathlib.Path, as_json: bool) -> None:
    """Check a study file before anything runs: its space, rules, dataset and what the trials will cost.

    \b
    Example:
      tuneguard study check my-study.yaml
    """
    from optimizer import check as checks
    from optimizer import settings, wiring
    from optimizer import study as studies

    study = studies.read(file)
    found = checks.check(study, wiring.measured_before(settings.read(), study))
    if as_json:
        options.print_json(found.as_json())
    else:
        click.echo(found.render())
    if found.leaves_nothing:
        raise click.exceptions.Exit(3)


@command.command("run")
@click.argument("file", type=options.FILE)
@click.option("--trials", type=click.IntRange(min=1), help="Add this many trials to what is there.")
@click.option("--gpu", type=click.IntRange(min=0), help="Train on this GPU (default: the first one, else the CPU).")
@click.option("--cpu", is_flag=True, help="Train on the CPU even where there is a GPU.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes (default: one for each GPU, or one).")
@options.as_json
def run(file: pathlib.Path, trials: int | None, gpu: int | None, cpu: bool, workers: int | None, as_json: bool) -> None:
    """Create a study from FILE, or go on with it, and work on it here. Ctrl-C stops cleanly.

    \b
    Examples:
      tuneguard study run my-study.yaml
      tuneguard study run my-study.yaml --trials 20     # twenty more
    """
    from optimizer import settings, wiring
    from optimizer import study as studies

    study = studies.read(file)
    services = wiring.services(settings.read())
    run_and_report(services, study, trials, devices(services, gpu, cpu, workers), as_json)


@command.command("list")
@options.as_json
def list_studies(as_json: bool) -> None:
    """List the studies of this database."""
    from optimizer import settings, wiring
    from storage import studies as stored

    services = wiring.services(settings.read())
    rows = []
    for study in stored.listed(services.database):
        _, spec = wiring.stored_study(services, study.name)
        found = wiring.trial_records(services, spec)
        counts: dict[str, int] = {}
        for record in found:
            counts[record.state] = counts.get(record.state, 0) + 1
        rows.append({"name": study.name, "created_at": study.created_at.isoformat(), "trials": counts})
    if as_json:
        options.print_json(rows)
        return
    for row in rows:
        trials = ", ".join(f"{count} {state}" for state, count in sorted(row["trials"].items())) or "no trials yet"  # type: ignore[attr-defined]
        click.echo(f"{row['name']}: {trials}")
    if not rows:
        click.echo("no studies yet; `tuneguard quickstart` makes one")


@command.command("show")
@click.argument("name")
@options.as_json
def show(name: str, as_json: bool) -> None:
    """Show a study's trials and what the rules refused.

    \b
    Example:
      tuneguard study show quickstart
    """
    from optimizer import settings, wiring
    from storage import refusals

    services = wiring.services(settings.read())
    stored, study = wiring.stored_study(services, name)
    found = wiring.trial_records(services, study)
    counts = refusals.count_by_rule(services.database, stored.id)
    if as_json:
        options.print_json(
            {
                "name": name,
                "directions": dict(study.objectives),
                "trials": [record.as_json() for record in found],
                "refusals": dict(counts),
            }
        )
        return
    _print_trials(found, study)
    for rule, count in counts.items():
        click.echo(f"refused by {rule}: {count}")


@command.command("best")
@click.argument("name")
@options.as_json
def best(name: str, as_json: bool) -> None:
    """Show the best usable trial: by the first objective, the next ones break ties; repeats count by their mean.

    \b
    Example:
      tuneguard study best quickstart --json
    """
    from optimizer import errors, repeats, settings, wiring

    services = wiring.services(settings.read())
    _, study = wiring.stored_study(services, name)
    group = repeats.best(wiring.trial_records(services, study), study.objectives)
    if not group:
        raise errors.BadInput(f"the study {name!r} has no usable trial yet")
    found, repeated = group[0], repeats.summary(group, list(study.objectives))
    if as_json:
        said = {"number": found.number, "params": dict(found.params), "values": dict(found.values), "lora": found.lora}
        options.print_json({**said, "repeats": repeated.as_json()})
        return
    _print_best(found)
    if len(group) > 1:
        click.echo(repeated.render())


@command.command("report")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: data folder).")
def report(name: str, output: pathlib.Path | None) -> None:
    """Write a self-contained report.html.

    \b
    Example:
      tuneguard study report quickstart -o report.html
    """
    from optimizer import settings, wiring

    services = wiring.services(settings.read())
    _, study = wiring.stored_study(services, name)
    click.echo(write_report(services, study, output))


@command.command("export")
@click.argument("name")
@click.option("--trial", type=int, help="Which trial (default: the best).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sd-scripts", "diffusers", "json"]),
    default="sd-scripts",
    show_default=True,
    help="For which trainer.",
)
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: stdout).")
def export(name: str, trial: int | None, form: str, output: pathlib.Path | None) -> None:
    """Write a trial's settings for another trainer.

    \b
    Examples:
      tuneguard study export quickstart -o best.toml        # writes best.dataset.toml, too
      tuneguard study export quickstart --trial 7 --format diffusers
    """
    from optimizer import errors, export, records, settings, wiring

    services = wiring.services(settings.read())
    stored, study = wiring.stored_study(services, name)
    found = wiring.trial_records(services, study)
    chosen = records.best(found, study.objectives)
    if trial is not None:
        chosen = next((record for record in found if record.number == trial), None)
    if chosen is None:
        what = "usable trial yet" if trial is None else f"trial {trial}"
        raise errors.BadInput(f"the study {name!r} has no {what}")
    source = export.Source(study, chosen, images=int(stored.facts.get("images", 1)))
    for exported in export.FORMATS[form](source):
        if output is None:
            click.echo(exported.text)
        else:
            path = output.with_suffix(exported.suffix + output.suffix)
            path.write_text(exported.text, encoding="utf-8")
            click.echo(f"wrote {path}")


@command.command("enqueue")
@click.argument("name")
@click.option("--params", required=True, help='A point as JSON, e.g. \'{"learning_rate": 1e-4, "network_dim": 64}\'.')
def enqueue(name: str, params: str) -> None:
    """Ask for a point of your own; the rules judge it like any other when its turn comes.

    \b
    Example:
      tuneguard study enqueue quickstart --params '{"learning_rate": 0.004}'
    """
    from optimizer import settings, wiring
    from optimizer import study as studies

    services = wiring.services(settings.read())
    _, study = wiring.stored_study(services, name)
    point = read_params(params)
    studies.check_point(study, point)
    wiring.open_optuna(services, study).enqueue_trial(point)
    click.echo("enqueued; the next worker takes it first")


@command.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really delete, without asking.")
@click.option("--keep-files", is_flag=True, help="Leave its LoRAs, pictures and logs in the data folder.")
def delete(name: str, yes: bool, keep_files: bool) -> None:
    """Delete a study: its trials, refusals and runs, and its files in this data folder, LoRAs included.

    \b
    Examples:
      tuneguard study delete my-character
      tuneguard study delete my-character --keep-files
    """
    import optuna

    from optimizer import remains, settings, wiring
    from storage import studies as stored_studies

    services = wiring.services(settings.read())
    stored, _ = wiring.stored_study(services, name)
    files = remains.of(services.settings, stored, wiring.artifacts_of(services, stored))
    kept = f"its files stay: {files.sentence()} in {files.runs}" if keep_files else f"its files go: {files.sentence()}"
    if not yes:
        click.confirm(f"delete the study {name!r} and all its trials? {kept}", abort=True)
    optuna.delete_study(study_name=name, storage=services.optuna_storage)
    stored_studies.delete(services.database, stored.id)
    if not keep_files:
        files.remove()
    click.echo(f"deleted {name}; {kept}")


def run_and_report(
    services: "wiring.Services",
    study: "studies.Study",
    trials: int | None,
    chosen: "list[launch.Device]",
    as_json: bool,
) -> None:
    """Work on a study here, then say what came of it. Exits with 130 when stopped."""
    from optimizer import records, reporting, session, wiring

    ending = session.run(services, study, chosen, add_trials=trials, quiet=as_json)
    found = wiring.trial_records(services, study)
    best_found = records.best(found, study.objectives)
    path = write_report(services, study, None)
    if as_json:
        options.print_json({"name": study.name, "stopped": ending.stopped, "report": str(path)})
    else:
        if best_found is not None:
            _print_best(best_found)
        click.echo(reporting.balance(services, study, found).sentence())
        click.echo(f"report: {path}")
        click.echo("dashboard: tuneguard web      # .venv/bin/tuneguard where the environment is not active")
    if ending.stopped:
        click.echo("stopped; the same command goes on where it stopped", err=True)
        raise click.exceptions.Exit(130)


def devices(services: "wiring.Services", gpu: int | None, cpu: bool, workers: int | None) -> "list[launch.Device]":
    """What to train on, a device a worker: the GPU that a person asked for, else all of them, else the CPU.

    Several workers on the CPU share its cores, since more threads than cores slow all of them down.
    """
    from optimizer import errors, facts, launch

    there = facts.gpus().count
    threads = services.settings.trainer_threads
    if gpu is not None:
        if gpu >= there:
            raise errors.BadInput(f"--gpu {gpu}: this machine has {there} GPUs, counted from 0")
        return [launch.Device(gpu, threads)] * (workers or 1)
    if cpu or not there:
        count = workers or 1
        share = threads if count == 1 else threads or max(1, launch.cores() // count)
        return [launch.Device(None, share)] * count
    return [launch.Device(number % there, threads) for number in range(workers or there)]


def write_report(services: "wiring.Services", study: "studies.Study", output: pathlib.Path | None) -> pathlib.Path:
    """Write a study's report.html; by default into the study's folder of runs."""
    from optimizer import reporting, wiring

    stored, _ = wiring.stored_study(services, study.name)
    path = output or services.settings.runs / stored.folder / "report.html"
    reporting.write(services, study, path)
    return path


def read_params(text: str) -> dict[str, Any]:
    """A point given as JSON on the command line."""
    from optimizer import errors

    try:
        point = json.loads(text)
    except json.JSONDecodeError as error:
        raise errors.BadInput(
            f'--params: column {error.colno}: {error.msg}; write JSON such as {{"dim": 4}}'
        ) from error
    if not isinstance(point, dict):
        raise errors.BadInput(f'--params: must be a JSON object such as {{"network_dim": 64}}, not {text}')
    return point


def _print_trials(found: "list[records.TrialRecord]", study: "studies.Study") -> None:
    import rich.console
    import rich.table

    table = rich.table.Table(title=study.name, title_justify="left")
    for heading in ("trial", "state", "parameters", *study.objectives, "seconds", "why"):
        table.add_column(heading)
    for record in found:
        why = ", ".join(record.refused_by) or (record.failure or {}).get("kind", "")
        if record.early_stop is not None:
            why = record.early_stop.render()
        table.add_row(
            str(record.number),
            record.state,
            ", ".join(f"{name} {options.shown(value)}" for name, value in record.params.items()),
            *(options.shown(record.values.get(name)) for name in study.objectives),
            options.shown(record.seconds),
            str(why),
        )
    rich.console.Console().print(table)


def _print_best(found: "records.TrialRecord") -> None:
    click.echo(f"best: trial {found.number}, " + ", ".join(f"{k} {options.shown(v)}" for k, v in found.values.items()))
    for name, value in found.params.items():
        click.echo(f"  {name}: {options.shown(value)}")
    click.echo(f"lora: {found.lora}")
