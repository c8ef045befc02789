"""Looks from JSON, from a `.cube`, or by the name of a preset."""

from dataclasses import replace
from importlib import resources

from lutfuse.models.checked import ConfigError, from_json, read_json
from lutfuse.models.looks.cube import CubeError, read_cube
from lutfuse.models.looks.look import Look

PRESETS = ("neutral", "punchy", "soft", "warm", "window-pull")
_MAX_JSON_BYTES = 64 * 1024  # a look is a page of text; more is something else


class LookError(ValueError):
    """A look that cannot be used: file, key or line, value and rule."""


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
    try:
        document = read_json(data, _MAX_JSON_BYTES)
        for key in ("$schema", "title"):
            if not isinstance(text := document.pop(key, ""), str):
                raise ConfigError(f"{key} is {text!r:.60}; it must be a text in double quotes")
        return replace(from_json(Look, document), name=name)
    except ConfigError as error:
        raise LookError(f"{name}: {error}") from error
