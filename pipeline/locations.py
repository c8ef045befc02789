"""Paths and URIs on the command line. Not in `arguments`, which loads no client of any store."""

from pathlib import Path

from lutfuse.pipeline.arguments import UsageError
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import explain
from lutfuse.transforms.weights import weights_files


def absolute(uri: str) -> str:
    """`uri` with local paths made absolute, for workers that run in another folder."""
    return str(Path(uri).absolute()) if files.is_local(uri) else uri.rstrip("/")


def check_weights(weights: str | None) -> None:
    """Check that the file of --weights and its JSON exist; None stands for the shipped weights.

    Raises:
      UsageError: one of them is missing or cannot be read.
    """
    for file in weights_files(weights) if weights else ():
        try:
            why = "is missing" if files.size(file) is None else None
        except OSError as error:
            why = f"cannot be read ({explain(error)})"
        if why:
            raise UsageError(
                f"--weights {weights}: {file} {why}; name a .safetensors file and keep its JSON beside it"
            )
