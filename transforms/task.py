"""A bracket with everything that its fused image depends on, for recovery and fusion alike."""

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

# Starts the comment of an exported .cube with its key and the digest of its nodes.
LUT_MARK = "lutfuse key and nodes:"


@dataclass(frozen=True)
class Task:
    """A bracket and everything that its fused image depends on.

    Attributes:
      bracket: what to fuse.
      options: how to fuse, and where to write.
      model_id: of the student network.
      given: the LUT to apply in place of the predicted one, or None.
    """

    bracket: Bracket
    options: FuseOptions
    model_id: str
    given: Cube | None = None

    @property
    def output_uri(self) -> str:
        """URI of the fused image."""
        name = f"{self.bracket.group_id}.{EXTENSIONS[self.options.image_format]}"
        return files.join(self.options.output, "fused", name)

    @property
    def lut_size(self) -> int:
        """Nodes along each axis of the LUT that is applied."""
        return self.options.lut_size if self.given is None else len(self.given.lut)

    @cached_property
    def config(self) -> str:
        """Digest of everything that the fused image and its scores depend on.

        The bracket's own LUT, exported and given back unedited, has the digest of the prediction that it is.
        """
        inputs = {
            "format": self.options.image_format,
            "quality": self.options.quality,
            "lut_size": self.lut_size,
            "look": self._look,
            "model": self.model_id,
            "uris": self.bracket.uris,
            "reference": self.bracket.reference,
        }
        if self.given is not None and lut_mark(self.given) != (self.lut_key, self.given.digest):
            inputs["lut"] = self.given.digest
        return _digest(inputs)

    @property
    def lut_key(self) -> str:
        """Digest of everything that the predicted LUT depends on."""
        return _digest(["lut", self.lut_size, self._look, self.model_id, self.bracket.uris])

    @property
    def merge_key(self) -> str:
        """Digest of everything that the merged image depends on."""
        return _digest(["merge", self._look, self.model_id, self.bracket.uris])

    @property
    def _look(self) -> str | None:
        return None if self.options.look is None else self.options.look.digest


def prepare(bracket: Bracket, options: FuseOptions, model_id: str, stages: Stages) -> Task:
    """The task of a bracket, with its given LUT read.

    Raises:
      BracketError: the bracket has a problem, or its LUT is missing or damaged.
    """
    if bracket.problem:
        raise BracketError("input", "invalid_bracket", bracket.problem)
    return Task(bracket, options, model_id, read_given(bracket, options, stages))


def lut_mark(cube: Cube) -> tuple[str, str] | None:
    """(key, digest of the nodes) from the comments of an exported `.cube`; None for any other `.cube`."""
    marks = [comment.split() for comment in cube.comments if comment.startswith(LUT_MARK)]
    return (marks[0][-2], marks[0][-1]) if marks and len(marks[0]) == len(LUT_MARK.split()) + 2 else None


def _digest(inputs: object) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
