"""What a look is: its controls with their units, ranges and defaults, and the JSON schema made from them.

Every control is the identity at its default. What the controls do to colours is in `colour.py`, what
`balance` and `detail` do to the fusion weights in `grid_edits.py`; `docs/looks.md` is the user's page.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lutfuse.models.looks.cube import Cube

_MATHS_VERSION = 2  # raise it when the same document starts to give other pixels


class LookError(ValueError):
    """A look that cannot be used: file, key, value, rule and remedy."""


def look_error(name: str, key: str, value: object, rule: str, remedy: str) -> LookError:
    """The one form of every message about a key of a look."""
    return LookError(f"{name}: {key} = {str(value)[:60]} {rule}; {remedy}")


def _control(default: float, low: float, high: float, unit: str, text: str) -> Any:
    """A field of `Look` that carries its own documentation and limits."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "text": text})


@dataclass(frozen=True)
class Look:
    """The settings of one look, validated, in the order they act. Levels are those of 8 bit, at any depth."""

    exposure: float = _control(0, -5, 5, "EV", "linear light times 2^EV, rolling off towards white")
    temperature: float = _control(0, -100, 100, "mired", "shift of the white point; positive is warmer")
    tint: float = _control(
        0, -50, 50, "CC", "colour-compensating filter; positive is magenta, negative green"
    )
    shadows: float = _control(0, -100, 100, "%", "100 triples the slope at black, -100 divides it by three")
    highlights: float = _control(0, -100, 100, "%", "negative recovers the bright half, positive lifts it")
    contrast: float = _control(0, -100, 100, "%", "100 doubles the slope at the pivot, -100 halves it")
    pivot: float = _control(118, 32, 224, "level", "the tone that contrast leaves alone; 118 is 18 % grey")
    black_point: float = _control(0, -64, 64, "level", "the level that becomes black; negative lifts black")
    white_point: float = _control(
        255, 191, 319, "level", "the level that becomes white; above 255 dims white"
    )
    vibrance: float = _control(0, -100, 100, "%", "saturation that acts on pale colours first")
    saturation: float = _control(0, -100, 100, "%", "chroma at equal luma and hue; -100 is monochrome")
    balance: float = _control(0, -100, 100, "%", "fusion weights: negative pulls in the darker exposures")
    detail: float = _control(0, -100, 100, "%", "fusion weights: positive brings out texture")
    strength: float = _control(1, 0, 1, "ratio", "blends the whole look with no look")
    neutral_lock: bool = field(
        default=False, metadata={"text": "R = G = B of the merged image stays neutral"}
    )
    cube: Cube | None = None  # a LUT that acts before the colour controls; only from a .cube file
    name: str = field(default="look", compare=False)  # where it came from, for messages and result rows

    def __post_init__(self) -> None:
        for key, control in controls().items():
            object.__setattr__(self, key, _checked(self.name, key, getattr(self, key), control))
        if not isinstance(self.neutral_lock, bool):
            raise look_error(
                self.name, "neutral_lock", self.neutral_lock, "is not a switch", "write true or false"
            )

    def changed(self) -> dict[str, float | bool]:
        """The settings that change pixels: those off their default and not without effect."""
        keys = [*controls(), "neutral_lock"]
        values = {key: getattr(self, key) for key in keys if getattr(self, key) != getattr(Look, key)}
        if "contrast" not in values:
            values.pop("pivot", None)
        acts = self.cube is not None or bool(values.keys() - {"strength"})
        return values if acts and self.strength > 0 else {}

    def changes_colours(self) -> bool:
        """Whether anything but the fusion weights is touched."""
        keys = self.changed().keys() - {"balance", "detail", "strength"}
        return self.strength > 0 and (self.cube is not None or bool(keys))

    def at_strength(self, strength: float) -> "Look":
        """The same look at a strength multiplied by `strength` in [0, 1], for colours and weights alike."""
        factor = _checked(self.name, "strength", strength, controls()["strength"])
        return replace(self, strength=self.strength * factor)

    def digest(self) -> str:
        """Hash of everything that changes pixels, stable across machines; looks of no effect share one."""
        document: dict[str, Any] = {"maths": _MATHS_VERSION, **self.changed()}
        if self.cube is not None and self.strength > 0:
            nodes = hashlib.sha256(self.cube.lut.astype("<f4").tobytes()).hexdigest()
            document["cube"] = [nodes, *self.cube.lut.shape, *self.cube.domain_min, *self.cube.domain_max]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def controls() -> dict[str, Mapping[str, Any]]:
    """The numeric controls in the order they act: name to low, high, unit and text."""
    return {f.name: f.metadata for f in fields(Look) if "low" in f.metadata}


def _checked(name: str, key: str, value: object, control: Mapping[str, Any]) -> float:
    low, high, unit = control["low"], control["high"], control["unit"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise look_error(name, key, value, "is not a number", f"write one in {low}..{high} ({unit})")
    if not low <= value <= high:  # refuses NaN too
        raise look_error(name, key, value, f"is outside {low}..{high} ({unit})", "choose a value inside")
    return float(value)


def look_schema() -> dict[str, Any]:
    """The JSON schema of a look document; the package ships it as `models/look.schema.json`."""
    properties: dict[str, Any] = {
        "$schema": {"type": "string", "description": "where this schema is, for editors; not used"},
        "title": {"type": "string", "description": "for people; not used"},
    }
    for key, control in controls().items():
        properties[key] = {
            "type": "number",
            "minimum": control["low"],
            "maximum": control["high"],
            "default": getattr(Look, key),
            "description": f"{control['unit']}: {control['text']}",
        }
    lock = next(f for f in fields(Look) if f.name == "neutral_lock")
    properties["neutral_lock"] = {"type": "boolean", "default": False, "description": lock.metadata["text"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lutfuse look",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
