"""Listings of folders and globs, on local disks and in object stores, as streams.

No file is opened. Files of one folder come next to each other, in an order that depends on their names only;
hidden files and folders (a leading dot) are left out.
"""

import contextlib
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lutfuse.transforms.storage import object_stores
from lutfuse.transforms.storage.on_disk import Backlog, Seen, in_order
from lutfuse.transforms.storage.retries import StorageError, as_os_error, retrying

_WILDCARD = re.compile(r"[*?\[]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def walk(root: str, *, everything: bool = False) -> Iterator[str]:
    """Files below the local folder `root`, each folder's own files before those of its subfolders.

    Links to folders are followed, except to a folder that contains the link. With `everything`, hidden files
    and folders are included, links are not followed, and folders that cannot be read are skipped.
    """
    # Not os.walk, which holds all names of a folder in memory: there may be a million brackets in one.
    stack = [(root, _identity(root, everything), _entries(root, everything))]
    while stack:
        folder, _, entries = stack[-1]
        is_folder, name = next(entries, (False, None))
        path = f"{folder.rstrip('/')}/{name}"
        if name is None:
            stack.pop()
        elif not is_folder:
            yield path
        elif (identity := _identity(path, everything)) not in [known for _, known, _ in stack]:
            stack.append((path, identity, _entries(path, everything)))


def _ignored(everything: bool) -> type[OSError]:
    return OSError if everything else FileNotFoundError  # a folder deleted meanwhile


def _identity(folder: str, everything: bool) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 (faster, for a hundred thousand folders)
    except _ignored(everything):
        return None
    return status.st_dev, status.st_ino


def _entries(folder: str, everything: bool) -> Iterator[tuple[bool, str]]:
    """(is a folder, name) of the entries of `folder`, files first; none if it was deleted meanwhile."""

    def found() -> Iterator[tuple[bool, str]]:
        # scandir tells files from folders without a stat per file.
        with contextlib.suppress(_ignored(everything)), os.scandir(folder) as entries:
            for entry in entries:
                if everything or not entry.name.startswith("."):
                    yield _is_folder(entry, follow_links=not everything), entry.name

    return in_order(found())


def _is_folder(entry: os.DirEntry[str], follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:
        return False  # such as a link to itself: reading it reports the error


def match_local(pattern: str) -> Iterator[str]:
    """Local files that match a glob; a folder that matches stands for all files below it."""
    # Unlike pathlib's, this glob leaves hidden files out, as a shell does.
    paths = (path.rstrip("/") or "/" for path in glob.iglob(pattern, recursive=True))  # noqa: PTH207
    # Sorting by path alone would put a subfolder's files between those of its parent.
    found = in_order((os.path.dirname(path), Path(path).is_dir(), path) for path in paths)  # noqa: PTH120
    with contextlib.closing(Seen()) as walked:
        for (_, is_folder, path), _ in itertools.groupby(found):
            if "**" in pattern and any(str(folder) in walked for folder in Path(path).parents):
                continue  # '**' matches a folder and also what is in it
            if is_folder:
                walked.add(path)
                yield from walk(path)
            else:
                yield path


def list_objects(uri: str) -> Iterator[str]:
    """URIs of the objects that start with `uri`, in key order, one page of the listing at a time.

    Raises OSError, also for a store that does not list in key order.
    """
    scheme, bucket, prefix = object_stores.split_uri(uri)
    token, last = None, ""
    while True:
        try:
            store = object_stores.store_of(scheme)
            keys, token = retrying(store.page, bucket, prefix, token)
        except OSError:
            raise
        except Exception as error:
            raise as_os_error(error, uri) from error
        for key in keys:
            if key <= last:
                raise StorageError(
                    f"{uri}: lists {key!r} after {last!r}, not in key order, as S3 directory buckets do; "
                    "such buckets need a manifest"
                )
            last = key
            yield f"{scheme}://{bucket}/{key}"
        if not token:
            return


def match_objects(pattern: str) -> Iterator[str]:
    """Objects that match a glob; a folder that matches stands for all objects below it."""
    fixed = _WILDCARD.split(pattern)[0]
    matches = re.compile(f"{translate(pattern)}(?:/.*)?", re.DOTALL).fullmatch
    return visible((uri for uri in list_objects(fixed) if matches(uri)), fixed.rpartition("/")[0])


def visible(uris: Iterable[str], root: str) -> Iterator[str]:
    """The objects below `root`, grouped by folder, without folder markers and hidden names."""
    kept = (uri for uri in uris if not uri.endswith("/") and "/." not in uri[len(root) :])
    return by_folder(kept)


def translate(pattern: str) -> str:
    """The regular expression of a glob: as in a shell, `*` and `?` do not match a slash, `**` does."""
    return "".join(_expression(token) for token in _TOKEN.findall(pattern))


def _expression(token: str) -> str:
    if token in _WILDCARDS:
        return _WILDCARDS[token]
    if len(token) == 1:
        return re.escape(token)
    negated = token.startswith("[!")
    members = re.escape(token[2:-1] if negated else token[1:-1]).replace(r"\-", "-")
    return f"[^{members}]" if negated else f"[{members}]"


def by_folder(uris: Iterable[str]) -> Iterator[str]:
    """The same URIs, in key order, regrouped so that each folder's files come next to each other.

    In key order (`a/1`, `a/b/1`, `a/c`) the files of a subfolder come between those of its parent. Only files
    of the current folder and its parents are held back, beyond a limit on disk.
    """
    open_folders: list[tuple[str, Backlog[str]]] = []
    for uri in uris:
        folder = uri.rpartition("/")[0]
        while open_folders and not f"{folder}/".startswith(f"{open_folders[-1][0]}/"):
            yield from open_folders.pop()[1]
        if not open_folders or open_folders[-1][0] != folder:
            open_folders.append((folder, Backlog()))
        open_folders[-1][1].append(uri)
    while open_folders:
        yield from open_folders.pop()[1]
