"""Loads the model's weights: shipped, from a local file, or from a bucket."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lutfuse.transforms.storage import files

if TYPE_CHECKING:
    # The process that submits the job must not import torch.
    from lutfuse.models.student.predictor import Predictor


def weights_files(weights: str) -> tuple[str, str]:
    """(weights file, the JSON beside it), as paths or URIs."""
    folder, name = files.parent(weights), files.basename(weights)
    card = f"{name.rpartition('.')[0] or name}.json"
    return weights, files.join(folder, card) if folder else card


def load_predictor(weights: str | None) -> "Predictor":
    """The model of a `.safetensors` path or URI and the JSON beside it; the shipped one for None.

    Raises:
      ValueError: the files do not match, or are not weights of this network.
      OSError: a file cannot be read.
    """
    from lutfuse.models.student.predictor import Predictor

    if weights is None or files.is_local(weights):
        return Predictor.load(weights)
    with tempfile.TemporaryDirectory(prefix="lutfuse-") as folder:
        for uri in weights_files(weights):
            Path(folder, files.basename(uri)).write_bytes(files.read_bytes(uri))
        try:
            return Predictor.load(Path(folder, files.basename(weights)))
        except ValueError as error:
            # Name the URI that the user gave, not the temporary copy.
            raise ValueError(str(error).replace(folder, files.parent(weights))) from None
