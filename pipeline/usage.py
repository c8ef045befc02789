"""Wrong usage, and the checks of files that several commands name."""

from pathlib import Path

from transforms import storage


class UsageError(ValueError):
    """Wrong usage: the command ends with exit code 2 and this message."""


def absolute(uri: str) -> str:
    """`uri` as workers can use it, which may run in another folder than the launcher."""
    return str(Path(uri).absolute()) if storage.is_local(uri) else uri.rstrip("/")


def existing_weights(path: str | None) -> str | None:
    """The absolute path of --weights, None for the shipped ones; raises UsageError if a file is missing."""
    if path is None:
        return None
    for file in (Path(path), Path(path).with_suffix(".json")):
        if not file.is_file():
            raise UsageError(
                f"--weights {path}: {file} is missing; name a .safetensors file and keep its JSON beside it"
            )
    return absolute(path)
