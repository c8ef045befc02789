"""A bracket with all that decides its picture, worked out once for recovery and fusing alike."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from lutfuse.models.looks.cube import Cube
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.luts import read_given
from lutfuse.transforms.options import EXTENSIONS, FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files

# Starts the comment of an exported .cube that says which LUT it is, and whether it was edited since.
LUT_MARK = "lutfuse key and nodes:"


@dataclass(frozen=True)
class Task:
    """A bracket and all that decides its picture.

    Attributes:
      bracket: what to fuse.
      options: how, and where to.
      model_id: of the student.
      given: the LUT in place of the predicted one, or None.
    """

    bracket: Bracket
    options: FuseOptions
    model_id: str
    given: Cube | None = None

    @property
    def output_uri(self) -> str:
        """Where the fused image goes; it follows from the task alone."""
        name = f"{self.bracket.group_id}.{EXTENSIONS[self.options.image_format]}"
        return files.join(self.options.output, "fused", name)

    @property
    def lut_size(self) -> int:
        """Nodes along each axis of the LUT that is applied."""
        return self.options.lut_size if self.given is None else len(self.given.lut)

    @cached_property
    def config(self) -> str:
        """Digest of all that decides the fused pixels and scores: options, model, inputs, a given LUT.

        A given LUT that is the bracket's own, exported and never edited, counts as the prediction that it is.
        """
        decisive = {
            "format": self.options.image_format,
            "quality": self.options.quality,
            "lut_size": self.lut_size,
            "look": self._look,
            "model": self.model_id,
            "uris": self.bracket.uris,
            "reference": self.bracket.reference,
        }
        if self.given is not None and lut_mark(self.given) != (self.lut_key, self.given.digest):
            decisive["lut"] = self.given.digest
        return _digest(decisive)

    @property
    def lut_key(self) -> str:
        """Digest of all that decides the predicted LUT."""
        return _digest(["lut", self.lut_size, self._look, self.model_id, self.bracket.uris])

    @property
    def merge_key(self) -> str:
        """Digest of all that decides the merged image."""
        return _digest(["merge", self._look, self.model_id, self.bracket.uris])

    @property
    def _look(self) -> str | None:
        return None if self.options.look is None else self.options.look.digest


def prepare(bracket: Bracket, options: FuseOptions, model_id: str, stages: Stages) -> Task:
    """The task of a bracket, its given LUT read.

    Raises:
      BracketError: the bracket is unusable, or the LUT it is to be given is missing or damaged.
    """
    if bracket.problem:
        raise BracketError("input", "invalid_bracket", bracket.problem)
    return Task(bracket, options, model_id, read_given(bracket, options, stages))


def lut_mark(cube: Cube) -> tuple[str, str] | None:
    """Key and digest of the nodes that an exported `.cube` carries; None for a `.cube` from elsewhere."""
    marks = [comment.split() for comment in cube.comments if comment.startswith(LUT_MARK)]
    return (marks[0][-2], marks[0][-1]) if marks and len(marks[0]) == len(LUT_MARK.split()) + 2 else None


def _digest(decisive: object) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
