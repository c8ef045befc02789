"""Listings: folders stay whole, globs mean what they mean in a shell, and nothing is looked at twice."""

import itertools
import os
import re
import tracemalloc

import pytest

from lutfuse.transforms.storage import files, listing, object_stores, on_disk
from lutfuse.transforms.storage.retries import StorageError


class Store:
    """Keys in pages of three."""

    def __init__(self, *keys):
        self.keys, self.asked = list(keys), []

    def page(self, bucket, prefix, token):
        self.asked.append((bucket, prefix, token))
        found = [key for key in self.keys if key.startswith(prefix)]
        start = int(token or 0)
        return found[start : start + 3], str(start + 3) if start + 3 < len(found) else None


@pytest.fixture
def store(monkeypatch):
    def use(*keys):
        made = Store(*keys)
        monkeypatch.setattr(object_stores, "store_of", lambda scheme: made)
        return made

    return use


def test_files_of_one_folder_come_together_and_hidden_ones_not_at_all(tmp_path):
    for name in ("a/z.jpg", "a/b/1.jpg", "a/1.jpg", ".h/x.jpg", "a/.x.jpg"):
        files.write_bytes(f"{tmp_path}/{name}", b"")
    expected = [f"{tmp_path}/a/1.jpg", f"{tmp_path}/a/z.jpg", f"{tmp_path}/a/b/1.jpg"]
    assert list(files.list_files(str(tmp_path))) == expected
    assert list(files.match_files(f"{tmp_path}/**/*.jpg")) == expected


def test_objects_of_one_folder_come_together_though_keys_are_listed_in_another_order(store):
    keys = ["in/1.jpg", "in/a-b/1.jpg", "in/a/.h.jpg", "in/a/1.jpg", "in/a/b/1.jpg", "in/a/b/c/1.jpg"]
    keys += ["in/a/d.jpg", "in/b/", "in/b/1.jpg", "in/c/.h/1.jpg", "inside/1.jpg"]
    made = store(*sorted(keys))
    found = list(files.list_files("gs://x/in"))
    assert sorted(found) == sorted(
        f"gs://x/{key}" for key in keys if "/." not in key and key.startswith("in/") and key != "in/b/"
    )
    folders = [files.parent(uri) for uri in found]
    changes = [folder for i, folder in enumerate(folders) if i == 0 or folders[i - 1] != folder]
    assert len(changes) == len(set(changes))
    assert [token for _, _, token in made.asked] == [None, "3", "6", "9"]


def test_a_store_that_lists_out_of_order_is_refused_with_a_remedy(store):
    store("in/b/1.jpg", "in/a/1.jpg")
    with pytest.raises(StorageError, match="need a manifest"):
        list(files.list_files("s3://x/in"))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("in/*/*.jpg", ["in/a/1.jpg"], ["in/1.jpg", "in/a/b/1.jpg", "in/a/1.png"]),
        ("in/**/*.jpg", ["in/1.jpg", "in/a/1.jpg", "in/a/b/1.jpg"], ["in/1.png", "out/1.jpg"]),
        ("in/s?[0-2]", ["in/s_1/x/1.jpg", "in/s-0"], ["in/s_3/1.jpg", "in/s/1/1.jpg", "in/s_11/1.jpg"]),
        ("in/[!a]*.jpg", ["in/b.jpg", "in/^.jpg"], ["in/a.jpg", "in/b/1.jpg"]),
        ("in/[a^-]+.jpg", ["in/^+.jpg", "in/a+.jpg", "in/-+.jpg"], ["in/b+.jpg", "in/aa.jpg"]),
        ("in/**", ["in/1.jpg", "in/a/b/1.jpg"], ["inside/1.jpg"]),
    ],
)
def test_globs_on_objects_mean_what_they_mean_on_files(
    store, tmp_path, monkeypatch, pattern, matching, others
):
    keys = sorted([*matching, *others])
    store(*keys)
    found = {uri.removeprefix("gs://x/") for uri in files.match_files(f"gs://x/{pattern}")}
    assert found == set(matching)
    monkeypatch.chdir(tmp_path)
    for key in keys:
        if not any(other.startswith(f"{key}/") for other in keys):
            files.write_bytes(key, b"")
    assert set(files.match_files(pattern)) == set(matching)


def test_an_unfinished_set_of_characters_is_plain_text():
    assert re.fullmatch(listing.translate("a[b.jpg"), "a[b.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_an_unreadable_folder_is_an_error_and_not_an_empty_one(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    with pytest.raises(PermissionError, match="locked"):
        list(files.list_files(str(tmp_path)))


def test_an_error_while_walking_is_raised_unless_the_folder_has_just_gone(tmp_path, monkeypatch):
    files.write_bytes(f"{tmp_path}/a/1.jpg", b"")
    files.write_bytes(f"{tmp_path}/b/1.jpg", b"")
    scandir = os.scandir

    def failing(error):
        def scan(folder):
            if folder.endswith("/a"):
                raise error
            return scandir(folder)

        return scan

    monkeypatch.setattr(os, "scandir", failing(FileNotFoundError("gone")))
    assert list(listing.walk(str(tmp_path))) == [f"{tmp_path}/b/1.jpg"]
    monkeypatch.setattr(os, "scandir", failing(PermissionError("locked")))
    with pytest.raises(PermissionError, match="locked"):
        list(listing.walk(str(tmp_path)))
    assert list(listing.walk(f"{tmp_path}/none")) == []


def test_links_that_lead_nowhere_are_files_like_any_other(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert list(listing.walk(str(tmp_path))) == [f"{tmp_path}/gone.jpg", f"{tmp_path}/self.jpg"]


def test_walking_everything_shows_what_is_hidden_and_leaves_links_alone(tmp_path):
    files.write_bytes(f"{tmp_path}/.h/.1.partial", b"")
    (tmp_path / "link").symlink_to(".h", target_is_directory=True)
    assert list(listing.walk(str(tmp_path))) == []
    assert list(listing.walk(str(tmp_path), everything=True)) == [
        f"{tmp_path}/link",
        f"{tmp_path}/.h/.1.partial",
    ]


@pytest.mark.parametrize("call", ["scandir", "stat"])
def test_walking_everything_leaves_out_only_the_folder_that_cannot_be_read(tmp_path, monkeypatch, call):
    for folder in ("a", "b", "c"):
        files.write_bytes(f"{tmp_path}/{folder}/1.jpg", b"")
    works = getattr(os, call)

    def locked(path, **how):
        if str(path).endswith("/b") and (call == "stat" or not how):
            raise PermissionError("locked")
        return works(path, **how)

    monkeypatch.setattr(os, call, locked)
    found = list(listing.walk(str(tmp_path), everything=True))
    assert set(found) - {f"{tmp_path}/b/1.jpg"} == {f"{tmp_path}/a/1.jpg", f"{tmp_path}/c/1.jpg"}
    with pytest.raises(PermissionError, match="locked"):
        list(listing.walk(str(tmp_path)))


def test_listing_is_a_stream_that_holds_a_page_and_not_the_bucket(store, monkeypatch):
    def pages(bucket, prefix, token):
        start = int(token or 0)
        keys = [f"in/scene-{i // 3:06}/{i % 3}.jpg" for i in range(start, start + 999)]
        return keys, str(start + 999) if start + 999 < total else None

    monkeypatch.setattr(store(), "page", pages)
    peaks = {}
    for total in (5_994, 11_988):
        tracemalloc.start()
        assert sum(len(list(group)) for group in folders(files.list_files("gs://x/in"))) == total
        peaks[total] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[11_988] < 1.1 * peaks[5_994]


@pytest.mark.parametrize("limit", [2, 20_000], ids=["on disk", "in memory"])
@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.jpg", "/*", "/**/a*"])
def test_a_folder_with_more_names_than_fit_is_listed_in_the_same_order(tmp_path, monkeypatch, limit, pattern):
    monkeypatch.setattr(on_disk, "IN_MEMORY", limit)
    names = [f"{folder}{i}.jpg" for folder in ("", "a/", "a/a/", "b/") for i in range(7)]
    for name in names:
        files.write_bytes(f"{tmp_path}/{name}", b"")
    found = list((files.match_files if pattern else files.list_files)(f"{tmp_path}{pattern}"))
    wanted = [name for name in names if pattern != "/**/a*" or name.startswith("a/")]
    assert found == [f"{tmp_path}/{name}" for name in wanted]


@pytest.mark.parametrize("limit", [2, 20_000], ids=["on disk", "in memory"])
@pytest.mark.parametrize("pattern", ["in", "in/*", "in/*/*", "in/**", "in/**/*", "in/[a]/*"])
def test_a_subfolder_that_matches_too_does_not_part_the_files_of_its_folder(
    tmp_path, monkeypatch, limit, pattern
):
    monkeypatch.setattr(on_disk, "IN_MEMORY", limit)
    names = ["in/a/1", "in/a/2", "in/a/y", "in/a/z", "in/a/merged/1", "in/a/merged/2"]
    for name in names:
        files.write_bytes(f"{tmp_path}/{name}", b"")
    assert list(files.match_files(f"{tmp_path}/{pattern}")) == [f"{tmp_path}/{name}" for name in names]


def test_objects_between_those_of_subfolders_are_held_back_on_disk(store, monkeypatch):
    monkeypatch.setattr(on_disk, "IN_MEMORY", 2)
    keys = [f"in/{i}.jpg" for i in range(7)] + [f"in/3/{i}.jpg" for i in range(7)]
    store(*sorted(keys))
    found = list(files.list_files("gs://x/in"))
    assert found == [f"gs://x/in/3/{i}.jpg" for i in range(7)] + [f"gs://x/in/{i}.jpg" for i in range(7)]


def folders(uris):
    return (list(group) for _, group in itertools.groupby(uris, files.parent))
