"""A figure of the report, or why there is none yet."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Panel:
    """A figure as Plotly's JSON, or the `reason` why there is none yet. `reading` says how to read it.

    A figure that needs more than `least_width` pixels to be read scrolls in a narrower window.
    """

    title: str
    reading: str
    figure: str | None = None
    reason: str | None = None
    is_wide: bool = False
    least_width: int = 0


def panel(title: str, reading: str, enough: bool, needs: str, plot: Callable[[], Any], **shape: Any) -> Panel:
    """Draw a panel.

    Args:
        title: what it shows.
        reading: how to read it.
        enough: whether there are trials enough.
        needs: what it needs, where there are not.
        plot: makes the Plotly figure.
        shape: `is_wide`, `least_width`.
    """
    if not enough:
        return Panel(title, reading, reason=f"Not enough trials yet: this figure {needs}.")
    try:
        return Panel(title, reading, figure=_json(plot()), **shape)
    except UserWarning:
        return Panel(title, reading, reason="The trials differ too little for this figure.")
    except (ValueError, RuntimeError) as error:
        return Panel(title, reading, reason=f"This figure cannot be drawn: {error}")


def axis(name: str) -> Mapping[str, Any]:
    """An axis of a metric: a rate or a share lies between 0 and 1, whatever was measured."""
    bounds = {"range": [-0.02, 1.02]} if name.endswith(("_rate", "_share")) else {}
    return {"title": {"text": name.replace("_", " ")}, **bounds}


def _json(figure: Any) -> str:
    """The figure's data and layout; its colours and fonts are the page's to choose, light or dark."""
    content = json.loads(figure.to_json())
    layout = content["layout"]
    for key in ("template", "title", "width", "plot_bgcolor", "paper_bgcolor"):
        layout.pop(key, None)
    return json.dumps({"data": content["data"], "layout": layout}, separators=(",", ":"))
