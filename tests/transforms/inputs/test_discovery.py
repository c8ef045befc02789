"""Folders, globs and manifests become the same brackets whatever the order of the listing."""

import pytest

from lutfuse.transforms.inputs.brackets import InputError
from lutfuse.transforms.inputs.discovery import find_brackets, glob_root
from lutfuse.transforms.storage import files


@pytest.fixture
def tree(tmp_path):
    names = ["s1/a.jpg", "s1/b.JPG", "s1/reference.png", "s2/deep/1.tif", "s2/deep/2.png", "s2/notes.txt"]
    names += ["s1/.hidden.jpg", ".trash/x.jpg", "alone/1.jpg"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def by_id(brackets):
    return {b.group_id: b for b in brackets}


def test_each_folder_of_images_is_a_bracket_named_by_its_relative_path(tree):
    found = by_id(find_brackets(str(tree)))
    assert set(found) == {"s1", "s2/deep", "alone"}
    assert found["s1"].uris == (f"{tree}/s1/a.jpg", f"{tree}/s1/b.JPG")
    assert found["s1"].reference == f"{tree}/s1/reference.png"
    assert found["s2/deep"].reference is None
    assert "1 exposure" in found["alone"].problem


def test_another_reference_name_makes_the_old_one_an_exposure(tree):
    found = by_id(find_brackets(str(tree), reference="b"))
    assert found["s1"].reference == f"{tree}/s1/b.JPG"
    assert f"{tree}/s1/reference.png" in found["s1"].uris


def test_a_folder_that_is_itself_a_bracket_is_named_after_itself(tree):
    assert set(by_id(find_brackets(f"{tree}/s1"))) == {"s1"}
    assert set(by_id(find_brackets(f"{tree}/s1/"))) == {"s1"}


def test_a_glob_of_files_and_a_glob_of_folders_both_work(tree):
    assert set(by_id(find_brackets(f"{tree}/*/*.jpg"))) == {"s1", "alone"}
    assert set(by_id(find_brackets(f"{tree}/s*"))) == {"s1", "s2/deep"}
    assert list(find_brackets(f"{tree}/nothing*")) == []


def test_an_existing_folder_with_wildcards_in_its_name_is_a_folder(tree):
    odd = tree / "odd [1]"
    odd.mkdir()
    (odd / "1.jpg").touch()
    (odd / "2.jpg").touch()
    assert set(by_id(find_brackets(str(odd)))) == {"odd [1]"}


def test_the_jobs_own_output_is_never_an_input(tree):
    assert set(by_id(find_brackets(str(tree), exclude=[f"{tree}/s1"]))) == {"s2/deep", "alone"}


def test_links_to_folders_are_brackets_of_their_own_and_loops_end(tree):
    (tree / "linked").symlink_to(tree / "s1", target_is_directory=True)
    (tree / "s2" / "loop").symlink_to(tree, target_is_directory=True)
    found = by_id(find_brackets(str(tree)))
    assert set(found) == {"s1", "linked", "s2/deep", "alone"}
    assert found["linked"].uris == (f"{tree}/linked/a.jpg", f"{tree}/linked/b.JPG")


def test_a_missing_input_is_refused_with_flag_and_remedy(tree):
    with pytest.raises(InputError, match=r"--input .*nowhere: no such file or folder; give"):
        find_brackets(f"{tree}/nowhere")
    with pytest.raises(InputError, match="no such file"):
        find_brackets(f"{tree}/nowhere.csv")


def test_a_manifest_that_cannot_be_read_is_refused_before_the_first_bracket(monkeypatch):
    def forbidden(uri, limit):
        raise PermissionError(13, "access denied", uri)

    monkeypatch.setattr(files, "read_bytes", forbidden)
    with pytest.raises(InputError, match=r"--input gs://b/m.csv: cannot be read \(PermissionError: .*denied"):
        find_brackets("gs://b/m.csv")


@pytest.mark.parametrize(
    ("pattern", "root"),
    [("/a/b/*.jpg", "/a/b"), ("/*/x", "/"), ("gs://b/p/s_*/1.jpg", "gs://b/p"), ("*.jpg", ".")],
)
def test_a_glob_starts_at_its_first_fixed_folder(pattern, root):
    assert glob_root(pattern) == root
