"""A line plot as PNG, by matplotlib, which comes with the extra `plot`."""

import importlib.util
import io
from collections.abc import Mapping, Sequence

from lutfuse.models.checked import ConfigError

SIZE, DPI = (8, 4.5), 120  # inches, px per inch


def check_matplotlib() -> None:
    """Raise ConfigError, with the remedy, where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("plots need matplotlib, which is not installed: pip install 'lutfuse[plot]'")


def line_plot(x: Sequence[float], lines: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> bytes:
    """PNG of the lines over x, whose values are spaced evenly; a NaN is a gap in its line."""
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(SIZE, DPI, layout="constrained")
    axes = figure.subplots()
    for name, line in lines.items():
        axes.plot(range(len(x)), line, marker="o", label=name)
    axes.set_xticks(range(len(x)), [f"{value:g}" for value in x])
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
