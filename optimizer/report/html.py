"""Renders a report: one HTML file with its style, its figures and its pictures inside."""

import base64
import contextlib
import functools
import gzip
import importlib.resources
import json
import pathlib
from typing import Any

import jinja2
import markupsafe

from optimizer import columns, errors, wording
from optimizer.report import figures, grid, records
from optimizer.results import records as trial_records

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


def render(data: records.ReportData, home: str | None = None) -> str:
    """The whole page as text; nothing in it is loaded from elsewhere.

    Args:
        data: what is shown.
        home: where a way back leads, for a page that is served and no file.
    """
    same, differing = columns.of_parameters(
        [trial.params for trial in data.trials],
        list(dict.fromkeys(name for trial in data.trials for name in trial.params)),
        digits=4,
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value": value, "words": words, "signed": signed}
    environment.filters["breakable"] = breakable
    return environment.get_template("report.html").render(
        data=data,
        panels=figures.draw(data),
        grid=grid.grid(data),
        best=next((trial for trial in data.trials if trial.number == data.best), None),
        counts={state: count for state in trial_records.STATES if (count := _count(data, state))},
        parameters=[column.name for column in differing],
        same=same,
        home=home,
        phases=phases(data),
        longest=max((trial.seconds or 0.0 for trial in data.trials), default=0.0),
        states=trial_records.STATES,
        style=_file("report.css"),
        script=_file("report.js"),
        plotly=_plotly(),
        json_of=_json_of,
    )


def write(data: records.ReportData, path: pathlib.Path) -> None:
    """Write the page; a reader of an earlier one at the same place never sees half of the new one.

    Raises:
        errors.BadInput: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(render(data), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise errors.BadInput(f"{path}: cannot write the report: {error.strerror}; choose another place") from error


def phases(data: records.ReportData) -> list[str]:
    """The phases that any trial spent time in."""
    seen = dict.fromkeys((phase for trial in data.trials for phase in trial.phases), 0.0)
    return [phase for phase, _ in trial_records.in_order(seen)]


def value(content: Any) -> str:
    """A number as a person would write it; a dash for what is not known."""
    return "–" if content is None else wording.value(content)


def signed(content: float) -> str:
    """A difference with its sign."""
    return wording.signed(content).replace("-", "−")


def words(content: str) -> str:
    """An identifier as words: clip_score -> clip score."""
    return content.replace("_", " ")


def breakable(content: str) -> markupsafe.Markup:
    """A name that may go on in the next line after an underscore: constant_with_warmup."""
    return markupsafe.Markup("_<wbr>").join(content.split("_"))


def _count(data: records.ReportData, state: str) -> int:
    return sum(trial.state == state for trial in data.trials)


def _file(name: str) -> markupsafe.Markup:
    # our own files, not anybody's input
    return markupsafe.Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _json_of(text: str) -> markupsafe.Markup:
    """JSON that is safe inside a script element."""
    json.loads(text)
    return markupsafe.Markup(text.replace("<", "\\u003c"))  # noqa: S704


@functools.cache
def _plotly() -> str:
    """Plotly's whole script, 4.8 MB, as 2.0 MB of packed text that the page unpacks itself."""
    script = importlib.resources.files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(script, 6, mtime=0)).decode()
