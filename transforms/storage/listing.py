"""Which files there are: folders and globs of local disks and object stores, as streams.

No file is looked at: a listing knows names only. Files of one folder come next to each other, in an order
that depends on names alone; hidden files and folders (a leading dot) are left out.
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
    """Files below the local folder `root`, each folder's own files before its subfolders.

    Links to folders are followed, so two links to one folder are two brackets; only a folder inside itself is
    left out. `everything`: hidden files and folders too, no links, and no error for a folder that cannot be
    read.
    """
    # Not os.walk, which holds all names of a folder: there may be a million brackets in one.
    above = [(root, _identity(root, everything), _entries(root, everything))]
    while above:
        folder, _, entries = above[-1]
        is_folder, name = next(entries, (False, None))
        path = f"{folder.rstrip('/')}/{name}"
        if name is None:
            above.pop()
        elif not is_folder:
            yield path
        elif (identity := _identity(path, everything)) not in [known for _, known, _ in above]:
            above.append((path, identity, _entries(path, everything)))


def _ignored(everything: bool) -> type[OSError]:
    return OSError if everything else FileNotFoundError  # a folder that has just gone


def _identity(folder: str, everything: bool) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 (a hundred thousand times)
    except _ignored(everything):
        return None
    return status.st_dev, status.st_ino


def _entries(folder: str, everything: bool) -> Iterator[tuple[bool, str]]:
    """(is a folder, name) of what is in `folder`, files first; nothing of a folder that has just gone."""

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
        return False  # a link to itself, say: reading it will tell


def match_local(pattern: str) -> Iterator[str]:
    """Local files that match a glob; folders that match stand for all files below them."""
    # glob leaves hidden files out, as a shell does; pathlib's would show them.
    paths = (path.rstrip("/") or "/" for path in glob.iglob(pattern, recursive=True))  # noqa: PTH207
    # Plain sorting would put a subfolder between the files of its parent.
    found = in_order((os.path.dirname(path), Path(path).is_dir(), path) for path in paths)  # noqa: PTH120
    with contextlib.closing(Seen()) as walked:
        for (_, is_folder, path), _ in itertools.groupby(found):
            if "**" in pattern and any(str(folder) in walked for folder in Path(path).parents):
                continue  # '**' matches folders and what is in them
            if is_folder:
                walked.add(path)
                yield from walk(path)
            else:
                yield path


def list_objects(uri: str) -> Iterator[str]:
    """URIs that start with `uri`, in the store's order, page by page."""
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
                    f"{uri}: lists {key!r} after {last!r}, so no folder is ever complete; "
                    "such buckets (S3 directory buckets) need a manifest"
                )
            last = key
            yield f"{scheme}://{bucket}/{key}"
        if not token:
            return


def match_objects(pattern: str) -> Iterator[str]:
    """Objects that match a glob; prefixes that match stand for all objects below them."""
    fixed = _WILDCARD.split(pattern)[0]
    matches = re.compile(f"{translate(pattern)}(?:/.*)?", re.DOTALL).fullmatch
    return visible((uri for uri in list_objects(fixed) if matches(uri)), fixed.rpartition("/")[0])


def visible(uris: Iterable[str], root: str) -> Iterator[str]:
    """Objects below `root`, folder by folder, without folder marks and hidden names."""
    shown = (uri for uri in uris if not uri.endswith("/") and "/." not in uri[len(root) :])
    return by_folder(shown)


def translate(pattern: str) -> str:
    """The regular expression of a glob: as in a shell, `*` and `?` stay within a folder, `**` does not."""
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
    """The same URIs with each folder's files next to each other.

    In key order (`a/1`, `a/b/1`, `a/c`) all below a folder is together, but files of a subfolder come between
    its own. Only files of the folders around the current one are held back.
    """
    around: list[tuple[str, Backlog[str]]] = []
    for uri in uris:
        folder = uri.rpartition("/")[0]
        while around and not f"{folder}/".startswith(f"{around[-1][0]}/"):
            yield from around.pop()[1]
        if not around or around[-1][0] != folder:
            around.append((folder, Backlog()))
        around[-1][1].append(uri)
    while around:
        yield from around.pop()[1]
