"""Looks: load them from JSON, from a `.cube` or by preset name, and apply them to the grids of a bracket.

Everything a user of looks needs is importable from here. A look never sees a pixel: `bake_look` edits the 3D
LUT, `edit_grid` the fusion weights, and the one pass over the image stays as it is.
"""

import json
from importlib import resources
from typing import Any, NoReturn

from lutfuse.models.looks.bake import bake_look, unit_lut
from lutfuse.models.looks.cube import CubeError, read_cube
from lutfuse.models.looks.grid_edits import edit_grid
from lutfuse.models.looks.look import Look, LookError, controls, look_error, look_schema

__all__ = [
    "PRESETS",
    "Look",
    "LookError",
    "bake_look",
    "edit_grid",
    "load_look",
    "load_preset",
    "look_schema",
    "unit_lut",
]

PRESETS = ("neutral", "punchy", "soft", "warm", "window-pull")
_MAX_JSON_BYTES = 64 * 1024  # a look is a page of text; more is something else


def load_look(data: bytes, *, name: str) -> Look:
    """Read a look document (JSON) or a `.cube`.

    Args:
        data: the whole file.
        name: the file's name, carried by messages and `Look.name`. Its extension says which of the two it is;
            without a known one the content does: a document starts with a brace.

    Raises:
        LookError: not a look; the message names file, key or line, rule and remedy.
    """
    suffix = name.lower().rpartition(".")[2]
    if suffix == "json" or (suffix != "cube" and data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")):
        return _from_document(data, name)
    try:
        return Look(cube=read_cube(data, name=name), name=name)
    except CubeError as error:
        raise LookError(str(error)) from error


def load_preset(name: str) -> Look:
    """One of `PRESETS` by name."""
    if name not in PRESETS:
        raise LookError(f"{name[:60]}: no such preset; choose from {', '.join(PRESETS)}, or give a file")
    return _from_document(
        resources.files("lutfuse.models.looks").joinpath(f"presets/{name}.json").read_bytes(), name
    )


def _from_document(data: bytes, name: str) -> Look:
    document = _parse(data, name)
    for key in ("$schema", "title"):
        if not isinstance(text := document.pop(key, ""), str):
            raise look_error(name, key, text, "is not a text", "put it in double quotes")
    known = [*controls(), "neutral_lock"]
    for key, value in document.items():
        if key not in known:
            raise look_error(name, key, value, "is not a key of a look", f"keys are {', '.join(known)}")
    return Look(**document, name=name)


def _parse(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in `data`, stricter than `json`: no duplicate keys, no NaN, no deep nesting."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key, value in pairs:
            if keys.count(key) > 1:
                raise look_error(name, key[:60], value, "is given twice", "keep one of them")
        return dict(pairs)

    def constant(text: str) -> NoReturn:
        raise LookError(f"{name}: {text} is not a number JSON knows; write a finite number")

    if len(data) > _MAX_JSON_BYTES:
        raise LookError(
            f"{name}: {len(data)} bytes exceed the {_MAX_JSON_BYTES} of a look; is it the right file?"
        )
    try:
        # Whole numbers as float: the range check words it better than Python's limit on digits.
        text = data.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=unique, parse_constant=constant, parse_int=float)
    except json.JSONDecodeError as error:
        raise LookError(f"{name}, line {error.lineno}: not JSON ({error.msg}); correct the syntax") from error
    except UnicodeDecodeError as error:
        raise LookError(f"{name}: not UTF-8 text; save the look as UTF-8") from error
    except RecursionError as error:
        raise LookError(f"{name}: nested too deeply; a look is one flat object") from error
    if not isinstance(document, dict):
        raise LookError(f'{name}: a look is one JSON object; write {{"exposure": 0.3}}')
    return document
