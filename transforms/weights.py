"""The model's weights, wherever they are: shipped, in a local file, or in a bucket."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lutfuse.transforms.storage import files

if TYPE_CHECKING:
    # torch stays out of the process that submits the job.
    from lutfuse.models.student.predictor import Predictor


def weights_files(weights: str) -> tuple[str, str]:
    """The tensors and the JSON that belongs beside them."""
    folder, name = files.parent(weights), files.basename(weights)
    card = f"{name.rpartition('.')[0] or name}.json"
    return weights, files.join(folder, card) if folder else card


def load_predictor(weights: str | None) -> "Predictor":
    """The model of a `.safetensors` path or URI and the JSON beside it; None takes the shipped one.

    Raises:
      ValueError: the files do not belong together, or hold no such model.
      OSError: an object cannot be read.
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
            # Of use are the names that people know.
            raise ValueError(str(error).replace(folder, files.parent(weights))) from None
