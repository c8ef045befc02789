"""`lutfuse fuse` as a Flex Template: options to template parameters, and parameters to a command line.

Template parameters have names without dashes and always a value: `--dry-run` is `dry_run=true`.
`python -m lutfuse.pipeline.template` prints the metadata that describes them for the Dataflow console.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from lutfuse.models.contract import EXPOSURES
from lutfuse.pipeline.commands.fuse import add_fuse_arguments

DESCRIPTION = (
    f"Fuses exposure brackets of {EXPOSURES} images into one well-exposed image each, on CPUs or GPUs."
)
_WHOLE, _NUMBER = "^[0-9]+$", r"^[0-9]*\.?[0-9]+$"
# What the console checks before it starts a job; `lutfuse fuse` checks the rest.
PATTERNS = {
    "input": "^.+$",
    "output": "^(gs|s3)://[^*?]+$",
    "exif_gap": _NUMBER,
    "lut_size": _WHOLE,
    "strength": r"^(0(\.[0-9]+)?|1(\.0+)?|\.[0-9]+)$",
    "quality": "^([1-9][0-9]?|100)$",
    "max_megapixels": _NUMBER,
    "accelerator": "^[a-z0-9-]+$|^type:[a-z0-9-]+;count:[0-9]+;.*$",
    "min_ram": _NUMBER,
    "cpu_count": _WHOLE,
}


def fuse_actions() -> list[argparse.Action]:
    """All options of `lutfuse fuse`."""
    parser = argparse.ArgumentParser(prog="lutfuse fuse", add_help=False)
    add_fuse_arguments(parser)
    return parser._actions


def metadata() -> dict[str, Any]:
    """The template's metadata, as `gcloud dataflow flex-template build --metadata-file` reads it."""
    return {
        "name": "lutfuse",
        "description": DESCRIPTION,
        "streaming": False,
        "parameters": [parameter(action) for action in fuse_actions()],
    }


def parameter(action: argparse.Action) -> dict[str, Any]:
    """One option as a template parameter."""
    described: dict[str, Any] = {
        "name": action.dest,
        "label": action.dest.replace("_", " ").capitalize(),
        "helpText": _help(action),
        "isOptional": not action.required,
    }
    if action.nargs == 0:
        return described | {"paramType": "BOOLEAN", "regexes": ["^(true|false)$"], "defaultValue": "false"}
    if action.choices:
        options = [{"value": choice, "label": choice} for choice in action.choices]
        pattern = f"^({'|'.join(map(re.escape, action.choices))})$"
        described |= {"paramType": "ENUM", "enumOptions": options, "regexes": [pattern]}
    else:
        pattern = PATTERNS.get(action.dest, "^.*$")
        kind = "NUMBER" if pattern in (_WHOLE, _NUMBER) else "TEXT"
        described |= {"paramType": kind, "regexes": [pattern]}
    if action.default is not None:
        described["defaultValue"] = format(action.default, "g" if isinstance(action.default, float) else "")
    return described


def _help(action: argparse.Action) -> str:
    return (action.help or "") % vars(action)


def command_line(parameters: Iterable[str]) -> Iterator[str]:
    """Arguments of `lutfuse fuse` from the launcher's `--name=value`; options of Beam pass unchanged."""
    actions = {action.dest: action for action in fuse_actions()}
    for argument in parameters:
        name, equals, value = argument.removeprefix("--").partition("=")
        action = actions.get(name)
        if action is None or not equals:
            yield argument
        elif action.nargs == 0:
            if value.lower() == "true":
                yield action.option_strings[-1]
        elif value:  # a parameter left empty in the console counts as not given
            yield f"{action.option_strings[-1]}={value}"


if __name__ == "__main__":
    print(json.dumps(metadata(), indent=2, ensure_ascii=False))
