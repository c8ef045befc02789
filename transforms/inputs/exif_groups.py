"""`--group-by exif`: brackets in a flat folder of photos, told apart by what the camera wrote.

A bracket is a run of shots in order of capture: one camera, lens and size, close in time, no exposure
taken twice. The next shot starts a new bracket when any of these changes.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lutfuse.models.contract import EXPOSURES
from lutfuse.transforms.images.io import ExposureInfo, exposure_info
from lutfuse.transforms.inputs.brackets import Bracket, group_name, stem
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.on_disk import in_order

HEADER_BYTES = 1 << 18  # EXIF sits at the start of a file
READERS = 16  # headers read at a time: listing waits for the network, not for this machine
_AHEAD = 1024  # photos whose headers are asked for before the first is needed
GAP_S = 5.0  # longest pause between two shots of a bracket, beside the exposure itself
SAME_EV = 0.15  # EV; brackets step by a third of a stop or more


@dataclass(frozen=True)
class Shot:
    """One photo: where it is and what its EXIF says."""

    uri: str
    info: ExposureInfo

    @property
    def ev(self) -> float | None:
        """Exposure in EV, higher is brighter: log2(t · ISO / 100 / N²); None where a tag is missing."""
        info = self.info
        if not (info.exposure_s and info.f_number):
            return None
        return math.log2(info.exposure_s * (info.iso or 100) / 100 / info.f_number**2)


def group_by_exif(
    uris: Iterable[str], root: str, reference: str = "reference", *, gap_s: float = GAP_S
) -> Iterator[Bracket]:
    """Brackets of each folder's photos, named by the folder and the first shot's file name.

    A photo without capture time or exposure cannot be placed: it ends as a bracket of one, with a problem.
    """
    with ThreadPoolExecutor(READERS) as readers:
        for folder, group in itertools.groupby(uris, files.parent):
            exposures = (uri for uri in group if stem(uri) != reference)
            for bracket in split(_read_shots(exposures, readers), gap_s):
                name = f"{group_name(folder, root)}/{stem(bracket[0].uri)}"
                yield Bracket(name, tuple(shot.uri for shot in bracket), problem=_problem(bracket))


def _read_shots(uris: Iterator[str], readers: ThreadPoolExecutor) -> Iterator[Shot]:
    # `map` asks for all at once, and a flat folder may hold millions.
    while ahead := list(itertools.islice(uris, _AHEAD)):
        yield from readers.map(read_shot, ahead)


def _problem(shots: list[Shot]) -> str | None:
    if len(shots) > 1 or (shots[0].info.captured is not None and shots[0].ev is not None):
        return None
    return (
        "no capture time or exposure in its EXIF, so --group-by exif cannot place it; use --group-by folder"
    )


def read_shot(uri: str) -> Shot:
    """The shot of one file; unreadable files have empty EXIF here and fail later under their own name."""
    try:
        data = files.read_bytes(uri, limit=HEADER_BYTES)
    except OSError as error:
        if files.is_fatal(error):
            raise
        data = b""
    return Shot(uri, exposure_info(data))


def split(shots: Iterable[Shot], gap_s: float) -> Iterator[list[Shot]]:
    """Runs of shots that belong together, in order of capture."""
    ordered = in_order(shots, key=lambda shot: (_seconds(shot) or 0.0, shot.uri))
    bracket: list[Shot] = []
    for shot in ordered:
        if bracket and not belongs(shot, bracket, gap_s):
            yield bracket
            bracket = []
        bracket.append(shot)
    if bracket:
        yield bracket


def belongs(shot: Shot, bracket: list[Shot], gap_s: float) -> bool:
    """Whether `shot` continues `bracket`: `gap_s` is the longest pause in seconds."""
    last = bracket[-1]
    now, before = _seconds(shot), _seconds(last)
    if now is None or before is None or shot.ev is None or last.ev is None:
        return False
    pause = now - before - max(last.info.exposure_s or 0.0, shot.info.exposure_s or 0.0)
    repeated = any(abs(shot.ev - other.ev) < SAME_EV for other in bracket if other.ev is not None)
    return _setup(shot) == _setup(last) and pause <= gap_s and not repeated and len(bracket) < EXPOSURES.high


def _setup(shot: Shot) -> tuple[object, ...]:
    info = shot.info
    return (info.camera, info.lens, info.width, info.height)


def _seconds(shot: Shot) -> float | None:
    return None if shot.info.captured is None else shot.info.captured.timestamp()
