"""Files are there whole or not at all."""

import os

import pytest

from lutfuse.models.atomic_file import PARTIAL, created, write_whole


def test_a_file_appears_when_the_block_ends_and_replaces_an_older_one(tmp_path):
    target = tmp_path / "new" / "folder" / "file"
    write_whole(target, b"old")
    with created(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
        (temporary,) = (name for name in os.listdir(target.parent) if name != "file")
        assert temporary.startswith(".")
        assert temporary.endswith(PARTIAL)
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["file"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file"
    write_whole(target, b"old")

    def fail_half_way() -> None:
        with created(target) as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_rename_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"new")
    assert os.listdir(tmp_path) == ["taken"]


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    target = tmp_path / "file"
    with created(target) as first, created(target) as second:
        first.write(b"first")
        second.write(b"second")
    assert target.read_bytes() == b"first"
