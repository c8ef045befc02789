"""What a look is: its controls with their units, ranges and defaults, and the JSON schema made from them.

Every control is the identity at its default. What the controls do to colours is in `colour.py`, what
`balance` and `detail` do to the fusion weights in `grid_edits.py`; `docs/looks.md` is the user's page.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, get_args

from lutfuse.models.checked import NOT_JSON, Range, check_fields, check_value, kinds
from lutfuse.models.looks.cube import Cube

_MATHS_VERSION = 2  # raise it when the same document starts to give other pixels

Stops = Annotated[float, Range(-5, 5, "EV")]
Mired = Annotated[float, Range(-100, 100, "mired")]
Density = Annotated[float, Range(-50, 50, "CC")]
Percent = Annotated[float, Range(-100, 100, "%")]
Ratio = Annotated[float, Range(0, 1, "ratio")]


@dataclass(frozen=True)
class Look:
    """The settings of one look, checked, in the order they act. Levels are those of 8 bit, at any depth."""

    exposure: Annotated[Stops, "linear light times 2^EV, rolling off towards white"] = 0
    temperature: Annotated[Mired, "shift of the white point; positive is warmer"] = 0
    tint: Annotated[Density, "colour-compensating filter; positive is magenta, negative green"] = 0
    shadows: Annotated[Percent, "100 triples the slope at black, -100 divides it by three"] = 0
    highlights: Annotated[Percent, "negative recovers the bright half, positive lifts it"] = 0
    contrast: Annotated[Percent, "100 doubles the slope at the pivot, -100 halves it"] = 0
    pivot: Annotated[
        float, Range(32, 224, "level"), "the tone that contrast leaves alone; 118 is 18 % grey"
    ] = 118
    black_point: Annotated[
        float, Range(-64, 64, "level"), "the level that becomes black; negative lifts black"
    ] = 0
    white_point: Annotated[
        float, Range(191, 319, "level"), "the level that becomes white; above 255 dims white"
    ] = 255
    vibrance: Annotated[Percent, "saturation that acts on pale colours first"] = 0
    saturation: Annotated[Percent, "chroma at equal luma and hue; -100 is monochrome"] = 0
    balance: Annotated[Percent, "fusion weights: negative pulls in the darker exposures"] = 0
    detail: Annotated[Percent, "fusion weights: positive brings out texture"] = 0
    strength: Annotated[Ratio, "blends the whole look with no look"] = 1
    neutral_lock: Annotated[bool, "R = G = B of the merged image stays neutral"] = False
    # A LUT that acts before the colour controls; only from a .cube file.
    cube: Cube | None = field(default=None, metadata=NOT_JSON)
    # Where the look came from, for messages and result rows.
    name: str = field(default="look", compare=False, metadata=NOT_JSON)

    def __post_init__(self) -> None:
        check_fields(self)
        for key in controls():
            object.__setattr__(self, key, float(getattr(self, key)))  # 1 and 1.0 share a digest

    def changed(self) -> dict[str, float | bool]:
        """The settings that change pixels: those off their default and not without effect."""
        values = {key: getattr(self, key) for key in kinds(Look) if getattr(self, key) != getattr(Look, key)}
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
        check_value(Ratio, strength, "strength")
        return self if strength == 1 else replace(self, strength=self.strength * strength)

    @cached_property
    def digest(self) -> str:
        """Hash of everything that changes pixels, stable across machines; looks of no effect share one."""
        document: dict[str, Any] = {"maths": _MATHS_VERSION, **self.changed()}
        if self.cube is not None and self.strength > 0:
            nodes = hashlib.sha256(self.cube.lut.astype("<f4").tobytes()).hexdigest()
            document["cube"] = [nodes, *self.cube.lut.shape, *self.cube.domain_min, *self.cube.domain_max]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def controls() -> dict[str, Range]:
    """The numeric controls in the order they act."""
    return {name: get_args(kind)[1] for name, kind in kinds(Look).items() if get_args(kind)[0] is float}


def look_schema() -> dict[str, Any]:
    """The JSON schema of a look document; the package ships it as `look.schema.json`."""
    properties: dict[str, Any] = {
        "$schema": {"type": "string", "description": "where this schema is, for editors; not used"},
        "title": {"type": "string", "description": "for people; not used"},
    }
    for key, kind in kinds(Look).items():
        _, *notes = get_args(kind)
        default, text = getattr(Look, key), notes[-1]
        if key in controls():
            limits: Range = notes[0]
            properties[key] = {
                "type": "number",
                "minimum": limits.low,
                "maximum": limits.high,
                "default": default,
                "description": f"{limits.unit}: {text}",
            }
        else:
            properties[key] = {"type": "boolean", "default": default, "description": text}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lutfuse look",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
