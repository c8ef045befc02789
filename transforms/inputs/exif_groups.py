"""`--group-by exif`: groups the photos of a flat folder into brackets by their EXIF.

A bracket is a run of shots in order of capture, with one camera, lens and size, close in time, no exposure
value twice. A shot that breaks one of these rules starts the next bracket.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lutfuse.models.contract import EXPOSURES
from lutfuse.transforms.images.exif import ExposureInfo
from lutfuse.transforms.images.io import exposure_info
from lutfuse.transforms.inputs.brackets import Bracket, group_name, stem
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.on_disk import in_order
from lutfuse.transforms.storage.retries import is_fatal

HEADER_BYTES = 1 << 18  # EXIF is at the start of a file
READERS = 16  # threads that read headers: the time goes into waiting for the network
READ_AHEAD = 1024  # headers that are requested at a time
GAP_S = 5.0  # longest pause between two shots of a bracket, not counting the exposure time
SAME_EV = 0.15  # closer exposures count as equal; brackets step by a third of a stop or more


@dataclass(frozen=True)
class Shot:
    """A photo by URI, and its EXIF."""

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

    `gap_s` is the longest pause between two shots, in seconds. A photo without capture time or exposure
    settings becomes a bracket of its own, with a problem.
    """
    with ThreadPoolExecutor(READERS) as readers:
        for folder, group in itertools.groupby(uris, files.parent):
            exposures = (uri for uri in group if stem(uri) != reference)
            for bracket in split(_read_shots(exposures, readers), gap_s):
                name = f"{group_name(folder, root)}/{stem(bracket[0].uri)}"
                yield Bracket(name, tuple(shot.uri for shot in bracket), problem=_problem(bracket))


def _read_shots(uris: Iterator[str], readers: ThreadPoolExecutor) -> Iterator[Shot]:
    # In batches: `map` takes all its input at once, and a flat folder may hold millions of photos.
    while batch := list(itertools.islice(uris, READ_AHEAD)):
        yield from readers.map(read_shot, batch)


def _problem(shots: list[Shot]) -> str | None:
    if len(shots) > 1 or (shots[0].info.captured is not None and shots[0].ev is not None):
        return None
    return (
        "no capture time or exposure in its EXIF, so --group-by exif cannot group it; use --group-by folder"
    )


def read_shot(uri: str) -> Shot:
    """The shot of one file; an unreadable file gets an empty EXIF here and fails when it is fused."""
    try:
        data = files.read_bytes(uri, limit=HEADER_BYTES)
    except OSError as error:
        if is_fatal(error):
            raise
        data = b""
    return Shot(uri, exposure_info(data))


def split(shots: Iterable[Shot], gap_s: float) -> Iterator[list[Shot]]:
    """The shots of each bracket, in order of capture."""
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
    """Whether `shot` continues `bracket`; `gap_s` is the longest pause in seconds."""
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
