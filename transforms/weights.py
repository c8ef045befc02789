"""The model's weights, wherever they are: shipped, in a local file, or in a bucket."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transforms import storage

if TYPE_CHECKING:
    # torch stays out of the process that submits the job.
    from models.predictor import Predictor


def weights_files(weights: str) -> tuple[str, str]:
    """The tensors and the JSON that belongs beside them."""
    folder, name = storage.parent(weights), storage.basename(weights)
    card = f"{name.rpartition('.')[0] or name}.json"
    return weights, storage.join(folder, card) if folder else card


def load_predictor(weights: str | None) -> "Predictor":
    """The model of a `.safetensors` path or URI and the JSON beside it; None takes the shipped one.

    Raises:
      ValueError: the files do not belong together, or hold no such model.
      OSError: an object cannot be read.
    """
    from models.predictor import Predictor

    if weights is None or storage.is_local(weights):
        return Predictor.load(weights)
    with tempfile.TemporaryDirectory(prefix="lutfuse-") as folder:
        for uri in weights_files(weights):
            Path(folder, storage.basename(uri)).write_bytes(storage.read_bytes(uri))
        try:
            return Predictor.load(Path(folder, storage.basename(weights)))
        except ValueError as error:
            # Of use are the names that people know.
            raise ValueError(str(error).replace(folder, storage.parent(weights))) from None
