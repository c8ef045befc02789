"""Finds the brackets of a folder tree, a glob or a manifest, as a stream."""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator

from lutfuse.transforms.inputs.brackets import Bracket, InputError, group_name, stem, validated
from lutfuse.transforms.inputs.manifest import MANIFEST_SUFFIXES, read_manifest
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import explain

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
Grouping = Callable[[Iterable[str], str, str], Iterator[Bracket]]  # (uris, root, reference) to brackets
_GLOB = re.compile(r"[*?\[]")


def is_image(uri: str) -> bool:
    """Whether the file name has the extension of a supported format (the content decides later)."""
    return uri.lower().endswith(IMAGE_SUFFIXES)


def group_by_folder(uris: Iterable[str], root: str, reference: str = "reference") -> Iterator[Bracket]:
    """Each folder of images is a bracket, named by its path below `root`.

    Args:
      uris: of images, grouped by folder.
      root: folder that `group_id` is relative to.
      reference: stem of the reference image, which is not an exposure.
    """
    for folder, group in itertools.groupby(uris, files.parent):
        images = list(group)
        references = [uri for uri in images if stem(uri) == reference]
        exposures = tuple(uri for uri in images if stem(uri) != reference)
        yield Bracket(group_name(folder, root), exposures, references[0] if references else None)


def glob_root(pattern: str) -> str:
    """The folder that a glob starts from: everything before the first component with a wildcard."""
    parts = pattern.split("/")
    fixed = list(itertools.takewhile(lambda part: not _GLOB.search(part), parts))
    return "/".join(fixed) or ("/" if pattern.startswith("/") else ".")


def find_brackets(
    source: str,
    *,
    reference: str = "reference",
    exclude: Iterable[str] = (),
    group: Grouping = group_by_folder,
) -> Iterator[Bracket]:
    """All brackets of `source`, validated, in an order that depends on names only.

    Args:
      source: a folder (searched to any depth), a glob, or a manifest; local, `gs://` or `s3://`.
      reference: stem of reference images.
      exclude: folders whose files are not inputs, such as the job's own output.
      group: groups files into brackets: `group_by_folder` or `group_by_exif`.

    Raises:
      InputError: `source` does not exist or is not a readable manifest.
    """
    if source.lower().endswith(MANIFEST_SUFFIXES) and not _GLOB.search(source):
        _require_existing(source)
        return validated(read_manifest(source))
    if _GLOB.search(source) and not (files.is_local(source) and os.path.isdir(source)):  # noqa: PTH112
        root, uris = glob_root(source), files.match_files(source)
    else:
        _require_existing(source)
        root, uris = source.rstrip("/") or "/", files.list_files(source)
    excluded = tuple(folder.rstrip("/") + "/" for folder in exclude)
    images = (uri for uri in uris if is_image(uri) and not uri.startswith(excluded))
    return validated(group(images, root, reference))


def _require_existing(source: str) -> None:
    # Object stores have no folders: there, the caller reports an empty listing.
    if files.is_local(source) and not os.path.exists(source):  # noqa: PTH110
        raise InputError(f"--input {source}: no such file or folder; give a folder, a glob or a manifest")
    if source.lower().endswith(MANIFEST_SUFFIXES):
        try:
            files.read_bytes(source, limit=1)
        except OSError as error:
            raise InputError(f"--input {source}: cannot be read ({explain(error)})") from None
