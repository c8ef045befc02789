"""The bracket: one scene's exposures by URI, and the rules a bracket must keep.

Nothing is dropped. An entry that cannot be fused (a lone image, a repeated or unsafe `group_id`, a
manifest line without URIs) stays in the list with its `problem`, and ends as one failure row.
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

# Local file names hold 255 bytes; room is kept for the extension and a temporary name.
MAX_NAME_BYTES = 240
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class InputError(ValueError):
    """The input as a whole cannot be used: value, rule and remedy in one sentence."""


@dataclass(frozen=True)
class Bracket:
    """One scene to fuse. Small and picklable: the only kind of element before the heavy step.

    Attributes:
      group_id: name of the bracket, and of its fused image relative to the output.
      uris: its exposures, in any order.
      reference: an image to measure against, never an exposure.
      problem: why it cannot be fused, or None.
    """

    group_id: str
    uris: tuple[str, ...]
    reference: str | None = None
    problem: str | None = None


def to_json(bracket: Bracket) -> str:
    """One line of the resolved manifest; `from_json` reads it back."""
    # ASCII escapes: file names that are not UTF-8 arrive as lone surrogates, which no text file may hold.
    return json.dumps({k: v for k, v in asdict(bracket).items() if v is not None})


def from_json(line: str) -> Bracket:
    """A bracket from a line that `to_json` wrote."""
    fields = json.loads(line)
    return Bracket(fields["group_id"], tuple(fields["uris"]), fields.get("reference"), fields.get("problem"))


def stem(uri: str) -> str:
    """File name without its last extension."""
    return files.basename(uri).rpartition(".")[0]


def group_name(folder: str, root: str) -> str:
    """`group_id` of the bracket in `folder`: its path below `root`, or its own name where they are one."""
    relative = folder.removeprefix(root).strip("/")
    return relative or files.basename(root) or "bracket"


def group_id_problem(group_id: str) -> str | None:
    """Why `group_id` may not name a file below the output, or None."""
    shown = repr(group_id if len(group_id) <= 80 else group_id[:77] + "...")
    parts = group_id.split("/")
    if not group_id.strip():
        return "group_id is empty; give every bracket a name"
    if _CONTROL.search(group_id) or "\\" in group_id:
        return f"group_id {shown} holds a control character or a backslash; use plain names and '/'"
    if group_id.startswith("/") or "://" in group_id or any(p in ("", ".", "..") for p in parts):
        return f"group_id {shown} would leave the output tree; use a relative name without '.' or '..'"
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return f"group_id {shown} holds half a character (a lone surrogate); no file can have that name"
    if longest > MAX_NAME_BYTES:
        return f"group_id {shown} has a part over {MAX_NAME_BYTES} bytes; shorten it"
    return None


def problem(bracket: Bracket) -> str | None:
    """Why `bracket` cannot be fused, judged by its names alone, or None."""
    n = len(bracket.uris)
    if bracket.problem:
        return bracket.problem
    if n < EXPOSURES.low:
        return f"{n} exposure(s); a bracket needs {EXPOSURES} images of one scene"
    if n > EXPOSURES.high:
        return f"{n} exposures; at most {EXPOSURES.high} can be fused: split the bracket or leave some out"
    return group_id_problem(bracket.group_id)


def judged(brackets: Iterable[Bracket]) -> Iterator[Bracket]:
    """The same brackets, each with its `problem` filled in; the first of a repeated id keeps it."""
    with contextlib.closing(Seen()) as seen:
        for bracket in brackets:
            why, is_new = problem(bracket), seen.add(bracket.group_id)
            if why is None and not is_new:
                why = f"group_id {bracket.group_id!r} is used twice; the first one has it: rename this one"
            yield bracket if why == bracket.problem else replace(bracket, problem=why)
