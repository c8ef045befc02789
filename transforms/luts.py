"""LUTs given by `--luts` in place of the predicted ones: a `.cube` per bracket, or one for all."""

from lutfuse.models.looks.cube import MAX_BYTES, Cube, CubeError, read_cube
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files


def lut_uri(folder: str, group_id: str) -> str:
    """URI of the LUT of `group_id` in a folder of LUTs."""
    return files.join(folder, f"{group_id}.cube")


def read_given(bracket: Bracket, options: FuseOptions, stages: Stages) -> Cube | None:
    """The LUT to apply in place of the predicted one; None if no LUTs are given.

    Raises:
      BracketError: there is no LUT for this bracket, or its file is not valid.
    """
    if options.luts is None:
        return None
    if options.luts.cube is not None:
        return options.luts.cube
    uri = lut_uri(options.luts.uri, bracket.group_id)
    with stages("read"):
        data = _read(uri)
    with stages("decode"):
        try:
            return read_cube(data, name=uri)
        except CubeError as error:
            raise BracketError("decode", "bad_lut", str(error)) from error


def _read(uri: str) -> bytes:
    size = files.size(uri)
    if size is None:
        remedy = "export it with --export-luts and edit that, or fuse this bracket in a job without --luts"
        raise BracketError("read", "missing_lut", f"{uri}: no such LUT; {remedy}")
    if size > MAX_BYTES:
        raise BracketError("read", "too_large", f"{uri}: {size} bytes; a .cube has at most {MAX_BYTES}")
    return files.read_bytes(uri)
