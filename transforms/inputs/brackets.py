"""The bracket: the exposures of one scene by URI, and the rules it must satisfy.

No bracket is dropped. One that cannot be fused (a single image, a repeated or unsafe `group_id`, a manifest
line without URIs) stays in the list with its `problem` and becomes one failure row.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from lutfuse.models.contract import EXPOSURES
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.on_disk import Seen

# File systems allow 255 bytes; this leaves room for the extension.
MAX_NAME_BYTES = 240
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class InputError(ValueError):
    """The input as a whole cannot be used; the message gives value, rule and remedy."""


@dataclass(frozen=True)
class Bracket:
    """One scene to fuse. Small and picklable: the pipeline's element up to the fusion step.

    Attributes:
      group_id: name of the bracket, and path of its fused image below `fused/`, without extension.
      uris: of its exposures, in any order.
      reference: URI of an image to measure against, or None; it is never fused.
      problem: why the bracket cannot be fused, or None.
    """

    group_id: str
    uris: tuple[str, ...]
    reference: str | None = None
    problem: str | None = None


def to_json(bracket: Bracket) -> str:
    """One line of the resolved manifest; `from_json` reads it back."""
    # In ASCII: file names that are not UTF-8 hold lone surrogates, which UTF-8 cannot encode.
    return json.dumps({k: v for k, v in asdict(bracket).items() if v is not None})


def from_json(line: str) -> Bracket:
    """A bracket from a line that `to_json` wrote."""
    fields = json.loads(line)
    return Bracket(fields["group_id"], tuple(fields["uris"]), fields.get("reference"), fields.get("problem"))


def stem(uri: str) -> str:
    """File name without its last extension."""
    return files.basename(uri).rpartition(".")[0]


def group_name(folder: str, root: str) -> str:
    """`group_id` of the bracket in `folder`: its path below `root`, or its name if it is `root`."""
    relative = folder.removeprefix(root).strip("/")
    return relative or files.basename(root) or "bracket"


def group_id_problem(group_id: str) -> str | None:
    """Why `group_id` must not name a file below the output, or None."""
    quoted = repr(group_id if len(group_id) <= 80 else group_id[:77] + "...")
    parts = group_id.split("/")
    if not group_id.strip():
        return "group_id is empty; give every bracket a name"
    if _CONTROL.search(group_id) or "\\" in group_id:
        return f"group_id {quoted} holds a control character or a backslash; use plain names and '/'"
    if group_id.startswith("/") or "://" in group_id or any(p in ("", ".", "..") for p in parts):
        return f"group_id {quoted} would leave the output tree; use a relative name without '.' or '..'"
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return f"group_id {quoted} contains a lone surrogate, which no file name can hold; rename it"
    if longest > MAX_NAME_BYTES:
        return f"group_id {quoted} has a part over {MAX_NAME_BYTES} bytes; shorten it"
    return None


def problem(bracket: Bracket) -> str | None:
    """Why `bracket` cannot be fused, as far as its names tell, or None."""
    n = len(bracket.uris)
    if bracket.problem:
        return bracket.problem
    if n < EXPOSURES.low:
        return f"{n} exposure(s); a bracket needs {EXPOSURES} images of one scene"
    if n > EXPOSURES.high:
        return f"{n} exposures; at most {EXPOSURES.high} can be fused: split the bracket or leave some out"
    return group_id_problem(bracket.group_id)


def validated(brackets: Iterable[Bracket]) -> Iterator[Bracket]:
    """The same brackets with `problem` filled in; of a repeated `group_id`, the first keeps it."""
    with contextlib.closing(Seen()) as seen:
        for bracket in brackets:
            why, is_new = problem(bracket), seen.add(bracket.group_id)
            if why is None and not is_new:
                why = f"group_id {bracket.group_id!r} is used twice; rename this bracket, the first keeps it"
            yield bracket if why == bracket.problem else replace(bracket, problem=why)
