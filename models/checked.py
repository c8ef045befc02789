"""Checked dataclasses, and the JSON they come from: a field's type and range stand in its annotation.

    learning_rate: Annotated[float, Range(0)] = 1.2e-3

Fields are numbers with a `Range`, switches, one of several texts, other checked dataclasses, and tuples of
these. With `check_fields` in `__post_init__` the rules hold for instances made in code, too. Every message
gives key, value and rule: "loss.mef_ssim is -1; it must be a finite number of at least 0".
"""

import functools
import json
import math
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """A value is of the wrong type or out of its range, a name is unknown, or a file is not strict JSON."""


@dataclass(frozen=True)
class Range:
    """What a number may be, both ends included; reads as "from 2 to 16" in messages."""

    low: float
    high: float = math.inf
    unit: str = ""

    def __str__(self) -> str:
        ends = f"of at least {self.low}" if self.high == math.inf else f"from {self.low} to {self.high}"
        return f"{ends} ({self.unit})" if self.unit else ends


Count = Annotated[int, Range(1)]
Share = Annotated[float, Range(0, 1)]

NOT_JSON = {"json": False}  # metadata of a field that code alone sets: not checked, and no key of the JSON


@functools.cache
def kinds(cls: type) -> Mapping[str, Any]:
    """The annotation of each checked field, with what `Annotated` adds."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in fields(cls) if f.metadata.get("json", True)}


def check_fields(config: object) -> None:
    """Raise ConfigError unless every field is of its type and in its range."""
    # mypy does not know that classes can be hashed.
    for name, kind in kinds(type(config)).items():  # type: ignore[arg-type]
        check_value(kind, getattr(config, name), name)


def check_value(kind: Any, value: object, key: str) -> None:
    """Raise ConfigError, with `key` for its name, unless `value` is what the annotation `kind` says."""
    if get_origin(kind) is tuple and isinstance(value, tuple) and value:
        for i, item in enumerate(value):
            check_value(get_args(kind)[0], item, f"{key}[{i}]")
        return
    fits, rule = _judged(kind, value)
    if not fits:
        raise ConfigError(f"{key} is {_shown(value)}; it must be {rule}")


def _judged(kind: Any, value: Any) -> tuple[bool, str]:
    """Whether `value` is of `kind`, and what it must be."""
    base, *notes = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    if base is bool:
        return isinstance(value, bool), "true or false"
    if base in (int, float):
        (limits,) = (note for note in notes if isinstance(note, Range))
        number = isinstance(value, int if base is int else int | float) and not isinstance(value, bool)
        # The largest float keeps infinity out where there is no other upper end; NaN fails any comparison.
        fits = number and limits.low <= value <= min(limits.high, sys.float_info.max)
        what = "whole number" if base is int else "finite number" if limits.high == math.inf else "number"
        return fits, f"a {what} {limits}"
    if get_origin(base) is Literal:
        return value in get_args(base), f"one of {', '.join(get_args(base))}"
    if is_dataclass(base):
        return isinstance(value, base), "a JSON object"  # type: ignore[arg-type]
    return False, "a list of one value or more"


def _shown(value: object) -> str:
    """Short, however long the value is."""
    return reprlib.repr(list(value) if isinstance(value, tuple) else value)


def from_json(cls: type[T], values: object, key: str = "") -> T:
    """A checked dataclass from its JSON object; `key` names it in messages.

    What is missing takes its default. A key that `cls` does not have is an error, never ignored.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key or cls.__name__} is {_shown(values)}; it must be a JSON object")
    known = kinds(cls)  # type: ignore[arg-type]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ConfigError(
            f"unknown {cls.__name__} keys {_shown(unknown)}; known are {', '.join(known)}. "
            "The file may come from a newer lutfuse: upgrade, or remove the keys"
        )
    dot = f"{key}." if key else ""
    made = {name: _made(known[name], value, f"{dot}{name}") for name, value in values.items()}
    try:
        return cls(**made)
    except ConfigError as error:
        raise ConfigError(f"{dot}{error}") from None


def _made(kind: Any, value: Any, key: str) -> Any:
    """What JSON has no type for: dataclasses from objects, tuples from lists."""
    if is_dataclass(kind):
        return from_json(kind, value, key)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value


def read_json(data: bytes, max_bytes: int = 2**20) -> dict[str, Any]:
    """The JSON object in `data`, stricter than `json`: no key twice, no NaN, no endless nesting.

    Raises:
        ConfigError: it is not that; the message is for the caller to put the name of the file before.
    """
    if len(data) > max_bytes:
        raise ConfigError(f"{len(data)} bytes, of at most {max_bytes}; is it the right file?")
    try:
        text = data.decode("utf-8-sig")
        values = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_whole)
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno} is not JSON ({error.msg})") from None
    except RecursionError:
        raise ConfigError("nested too deeply; is it the right file?") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the file holds {_shown(values)}; it must be one JSON object")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ConfigError(f"{_shown(key)} is given twice; keep one of them")
        values[key] = value
    return values


def _constant(text: str) -> NoReturn:
    raise ConfigError(f"{text} is no number in JSON; write a finite number")


def _whole(digits: str) -> float:
    # Python limits the digits of an int. What is that large comes as a float, for its range to refuse.
    return int(digits) if len(digits) < 400 else float(digits)
