"""Configurations from JSON: every key, type and range is checked, and a message names key, value and rule."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """A value in a configuration is of the wrong type or out of its range, or its name is unknown."""


def at_least(config: object, low: float, *names: str) -> None:
    """Raise ConfigError unless each of the named values is `low` or more."""
    within(config, low, math.inf, *names)


def within(config: object, low: float, high: float, *names: str) -> None:
    """Raise ConfigError unless each of the named values lies in low…high."""
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            rule = f"be at least {low}" if high == math.inf else f"lie in {low} to {high}"
            raise ConfigError(f"{name} is {value}; it must {rule}")


def from_json(cls: type[T], values: object, key: str = "") -> T:
    """A configuration dataclass from its JSON object, types checked; `key` names it in messages.

    What is missing takes its default. A key that `cls` does not have is an error, never ignored.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key or cls.__name__} is {values!r}; it must be a JSON object")
    hints = get_type_hints(cls)
    known = {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            f"unknown {cls.__name__} keys {unknown}; known are {sorted(known)}. "
            "The file may come from a newer lutfuse: upgrade, or remove the keys"
        )
    dot = f"{key}." if key else ""
    checked = {name: _typed(known[name], value, f"{dot}{name}") for name, value in values.items()}
    try:
        return cls(**checked)
    except ConfigError as error:
        raise ConfigError(f"{dot}{error}") from None


def _typed(kind: Any, value: Any, key: str) -> Any:
    """`value` as `kind`, one of the types that the dataclasses above use."""
    if dataclasses.is_dataclass(kind):
        return from_json(kind, value, key)  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_typed(get_args(kind)[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if get_origin(kind) is Literal:
        fits, rule = value in get_args(kind), f"be one of {', '.join(get_args(kind))}"
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits, rule = {
            bool: (isinstance(value, bool), "be true or false"),
            int: (number and isinstance(value, int), "be a whole number"),
            float: (number and abs(value) <= sys.float_info.max, "be a finite number"),
        }.get(kind, (False, "be a list"))
    if not fits:
        raise ConfigError(f"{key} is {value!r}; it must {rule}")
    return value
