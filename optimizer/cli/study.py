"""`tuneguard study ...`: check, run, list, show, best, report, export, enqueue, delete."""

import pathlib
from typing import TYPE_CHECKING

import click

from optimizer.cli import options

if TYPE_CHECKING:
    from optimizer import opening
    from optimizer.report import overview as overviews
    from optimizer.results import records
    from optimizer.running import launch
    from optimizer.study import resolved as studies


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
    from optimizer.study import resolved as studies

    drafted = studies.draft(file)  # what is no study file is said before the prover is loaded

    from optimizer import beforehand, settings
    from optimizer import check as checks

    found = checks.check(drafted, beforehand.before(settings.read(), drafted.study))
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
    from optimizer.study import resolved as studies

    drafted = studies.draft(file)

    from optimizer import check as checks
    from optimizer import opening, settings

    checks.look(drafted, None).demand()  # before a database is started, and a study made
    study = drafted.study
    services = opening.services(settings.read())
    run_and_report(services, study, trials, devices(services, gpu, cpu, workers), as_json)


@command.command("list")
@options.as_json
def list_studies(as_json: bool) -> None:
    """List the studies of this database."""
    from optimizer import opening, settings
    from optimizer.results import reading

    services = opening.existing(settings.read())
    rows = []
    for study, _, found in reading.all_records(services):
        gone = study.optuna_id is None
        counts: dict[str, int] = {}
        for record in found:
            counts[record.state] = counts.get(record.state, 0) + 1
        made = study.created_at.isoformat()
        rows.append({"name": study.name, "created_at": made, "trials": counts, "deleted_in_dashboard": gone})
    if as_json:
        options.print_json(rows)
        return
    for row in rows:
        trials = ", ".join(f"{count} {state}" for state, count in sorted(row["trials"].items())) or "no trials yet"  # type: ignore[attr-defined]
        if row["deleted_in_dashboard"]:
            trials = f"deleted in optuna-dashboard; `tuneguard study delete {row['name']}` removes the rest"
        click.echo(f"{row['name']}: {trials}")
    if not rows:
        click.echo("no studies yet; `tuneguard quickstart` makes one")


@command.command("show")
@click.argument("name")
@click.option("--trial", type=int, help="Everything about this trial alone.")
@click.option("--state", help="Only trials in this state: usable, unusable, refused, running, ...")
@click.option("--sort", help="Order by a parameter, objective or metric, gain, likeness or seconds; the best first.")
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--last", type=click.IntRange(min=1), help="Only the last so many trials.")
@click.option("--wide", is_flag=True, help="Every column under its full name, however wide.")
@options.as_json
def show(
    name: str,
    trial: int | None,
    state: str | None,
    sort: str | None,
    reverse: bool,
    last: int | None,
    wide: bool,
    as_json: bool,
) -> None:
    """Show what came of a study, a trial a line: what differs between trials first, as far as the terminal is wide.

    Into a pipe or a file every column is written.

    \b
    Examples:
      tuneguard study show quickstart
      tuneguard study show quickstart --sort gain --last 20
      tuneguard study show quickstart --trial 7
    """
    from optimizer import opening, settings
    from optimizer.report import gather as reporting
    from optimizer.report import overview
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services, name)
    found = reporting.overview(services, study)
    if trial is not None:
        record = trial_of(found, trial)
        if as_json:
            options.print_json(record.as_json())
        else:
            click.echo(reporting.detail(services, study, record))
        return
    _check_state(state)
    chosen = overview.choose(found, state=state, sort=sort, reverse=reverse, last=last)
    if as_json:
        options.print_json(found.as_json(chosen))
    else:
        click.echo(found.render(chosen, None if wide else options.width()))


@command.command("best")
@click.argument("name")
@options.as_json
def best(name: str, as_json: bool) -> None:
    """Show the best usable trial: by the first objective, the next ones break ties; repeats count by their mean.

    \b
    Example:
      tuneguard study best quickstart --json
    """
    from optimizer import errors, opening, settings
    from optimizer.results import reading, repeats

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services, name)
    group = repeats.best(reading.trial_records(services, study), study.objectives)
    if not group:
        raise errors.BadInput(f"the study {name!r} has no usable trial yet")
    found, repeated = group[0], repeats.summary(group, list(study.objectives))
    if as_json:
        options.print_json({**found.as_json(), "study": name, "repeats": repeated.as_json()})
        return
    _print_best(found)
    if len(group) > 1:
        click.echo(repeated.render())


@command.command("report")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: data folder).")
@options.as_json
def report(name: str, output: pathlib.Path | None, as_json: bool) -> None:
    """Write a self-contained report.html.

    \b
    Example:
      tuneguard study report quickstart -o report.html
    """
    from optimizer import opening, settings
    from optimizer.results import reading

    services = opening.existing(settings.read())
    _, study = reading.stored_study(services, name)
    path = write_report(services, study, output)
    if as_json:
        options.print_json({"name": name, "report": str(path)})
    else:
        click.echo(path)


@command.command("export")
@click.argument("name")
@click.option("--trial", type=int, help="Which trial (default: the best).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sd-scripts", "diffusers", "json", "csv"]),
    default="sd-scripts",
    show_default=True,
    help="For which trainer; csv is a table of all trials.",
)
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path), help="Where to write (default: stdout).")
@click.option("--anyway", is_flag=True, help="Write it even where the format cannot carry a setting.")
@options.as_json
def export(name: str, trial: int | None, form: str, output: pathlib.Path | None, anyway: bool, as_json: bool) -> None:
    """Write a trial's settings for another trainer, as it was trained, or all trials as a table.

    \b
    Examples:
      tuneguard study export quickstart -o best.toml        # writes best.dataset.toml, too
      tuneguard study export quickstart --trial 7 --format json
      tuneguard study export quickstart --format csv -o trials.csv
    """
    from optimizer import errors, exporting, opening, settings

    services = opening.existing(settings.read())
    if form == "csv" and trial is not None:
        raise errors.BadInput(f"--trial {trial}: csv is a table of all trials; take --trial out")
    made = exporting.make(services, name, form, trial, output)
    if made.lost and not anyway:
        what = "\n".join(f"  {line}" for line in made.lost)
        raise errors.BadInput(
            f"trial {made.trial} was not trained as {form} would train it:\n{what}\n--anyway writes it all the same, "
            "with this list on top"
        )
    written = made.write()
    if as_json:
        options.print_json(made.as_json())
        return
    for line in (*made.lost, *made.remarks):
        click.echo(f"note: {line}", err=True)
    for path in written:
        click.echo(f"wrote {path}")
    if output is None:
        click.echo("\n".join(made.texts.values()), nl=False)


@command.command("enqueue")
@click.argument("name")
@click.option("--params", required=True, help='A point as JSON, e.g. \'{"learning_rate": 1e-4, "network_dim": 64}\'.')
@click.option(
    "--anyway", is_flag=True, help="Enqueue it although the rules refuse it now; they may have changed by then."
)
@options.as_json
def enqueue(name: str, params: str, anyway: bool, as_json: bool) -> None:
    """Ask for a point of your own; the rules judge it now, and again when its turn comes.

    \b
    Example:
      tuneguard study enqueue quickstart --params '{"learning_rate": 0.004}'
    """
    from optimizer import errors, opening, settings
    from optimizer.report import gather as reporting
    from optimizer.results import reading
    from optimizer.rules import asked
    from optimizer.rules import book as rulebook
    from optimizer.study import points
    from optimizer.study import resolved as studies

    point = points.read(params)
    services = opening.existing(settings.read())
    stored, study = reading.stored_study(services, name)
    studies.check_point(study, point)
    rules = rulebook.newest(services.database, study, stored.facts.rule_sets or ())
    refused = asked.refused_by(study, rules, reporting.situation(services, study), point)
    if refused and not anyway:
        raise errors.BadInput(
            f"--params: {', '.join(refused)} refuse{'s' if len(refused) == 1 else ''} this point; change it, change "
            "the rule, or enqueue it with --anyway"
        )
    reading.open_optuna(services, study).enqueue_trial(point)
    if as_json:
        options.print_json({"name": name, "params": point})
    else:
        click.echo("enqueued; the next worker takes it first")


@command.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really delete, without asking.")
@click.option("--keep-files", is_flag=True, help="Leave its LoRAs, pictures and logs in the data folder.")
@options.as_json
def delete(name: str, yes: bool, keep_files: bool, as_json: bool) -> None:
    """Delete a study: its trials, refusals and runs, and its files in this data folder, LoRAs included.

    \b
    Examples:
      tuneguard study delete my-character
      tuneguard study delete my-character --keep-files
    """
    from optimizer import opening, settings
    from optimizer.results import reading, remains
    from storage import studies as stored_studies

    services = opening.existing(settings.read())
    stored = stored_studies.get(services.database, name)
    files = remains.of(services.settings, stored, reading.artifacts_of(services, stored))
    kept = f"its files stay: {files.sentence()} in {files.runs}" if keep_files else f"its files go: {files.sentence()}"
    if not yes:
        click.confirm(f"delete the study {name!r} and all its trials? {kept}", abort=True)
    if stored.optuna_id is not None:
        services.optuna_storage.delete_study(stored.optuna_id)
    stored_studies.delete(services.database, stored.id)
    if not keep_files:
        files.remove()
    if as_json:
        options.print_json({"name": name, "files_kept": keep_files, "folder": str(files.runs)})
    else:
        click.echo(f"deleted {name}; {kept}")


def run_and_report(
    services: "opening.Services",
    study: "studies.Study",
    trials: int | None,
    chosen: "list[launch.Device]",
    as_json: bool,
) -> None:
    """Work on a study here, then say what came of it. Exits with 130 when stopped."""
    from optimizer import session, wording
    from optimizer.report import gather as reporting
    from optimizer.report import overview
    from optimizer.results import repeats

    ending = session.run(services, study, chosen, add_trials=trials, quiet=as_json)
    study = ending.study
    found = reporting.overview(services, study)
    best_found = repeats.best_trial(found.trials, study.objectives)
    path = write_report(services, study, None)
    if as_json:
        options.print_json(
            {
                "name": study.name,
                "stopped": ending.stopped,
                "counts": overview.counts(found.trials),
                "best": None if best_found is None else best_found.number,
                "remarks": [remark.text for remark in found.remarks()],
                "report": str(path),
            }
        )
    else:
        if best_found is not None:
            _print_best(best_found)
        said = [wording.refusals(found.refused_points, found.refusals)] if found.refused_points else []
        said += reporting.balance(services, study, found.trials).sentence().splitlines()
        click.echo("\n".join(wording.wrapped(line, options.width()) for line in said))
        click.echo(f"report: {path}")
        click.echo("dashboard: tuneguard web      # .venv/bin/tuneguard where the environment is not active")
    if ending.stopped:
        click.echo(f"stopped; {going_on(study.name, trials, ending.until)}", err=True)
        raise click.exceptions.Exit(130)


def going_on(name: str, trials: int | None, until: int) -> str:
    """How a run that was stopped goes on: with `--trials` the same command would add as many once more."""
    if trials is None:
        return "the same command goes on where it stopped"
    return f"`tuneguard worker run {name} --until {until}` goes on where it stopped"


def devices(services: "opening.Services", gpu: int | None, cpu: bool, workers: int | None) -> "list[launch.Device]":
    """What to train on, a device a worker: the GPU that a person asked for, else all of them, else the CPU.

    Several workers on the CPU share its cores, since more threads than cores slow all of them down.
    """
    from optimizer import errors
    from optimizer.forecast import situation as facts
    from optimizer.running import launch

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


def write_report(services: "opening.Services", study: "studies.Study", output: pathlib.Path | None) -> pathlib.Path:
    """Write a study's report.html; by default into the study's folder of runs."""
    from optimizer.report import gather as reporting
    from optimizer.results import reading

    stored = reading.row_of(services, study)
    path = output or services.settings.runs / stored.folder / "report.html"
    reporting.write(services, study, path)
    return path


def trial_of(found: "overviews.Overview", number: int) -> "records.TrialRecord":
    """A trial by its number."""
    from optimizer import errors

    record = next((each for each in found.trials if each.number == number), None)
    if record is None:
        there = f"it has {len(found.trials)}, counted from 0" if found.trials else "it has none yet"
        raise errors.BadInput(f"the study {found.name!r} has no trial {number}: {there}")
    return record


def _check_state(state: str | None) -> None:
    from optimizer import errors
    from optimizer.results import records

    if state is not None and state not in records.STATES:
        raise errors.BadInput(f"--state {state}: there are {', '.join(records.STATES)}")


def _print_best(found: "records.TrialRecord") -> None:
    from optimizer import wording
    from optimizer.report import overview

    click.echo(wording.wrapped(f"best: {overview.outcome(found)}", options.width()))
    width = max(map(len, found.params), default=0)
    for name, value in found.params.items():
        click.echo(f"  {name.ljust(width)}  {wording.value(value)}")
    click.echo(f"LoRA: {found.lora}")
