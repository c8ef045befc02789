"""Disks that are full or read-only end the job with the reason, and a second run finishes it."""

import errno
import os
import subprocess

import pytest


def test_a_full_disk_ends_the_job_and_not_its_brackets(
    tree, tmp_path, lutfuse, pictures, rows, monkeypatch, capsys
):
    source, output = tree(6), tmp_path / "out"
    writes, fsync = [], os.fsync

    def full_after_five(descriptor):
        writes.append(descriptor)
        if len(writes) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_after_five)
        assert lutfuse(source, output) == 1
    assert "No space left on device" in capsys.readouterr().err
    done = pictures(output)
    assert 0 < len(done) < 6
    assert not list((output / "fused").glob(".*"))
    assert lutfuse(source, output) == 0
    assert len(rows(output, "metrics")) == 6
    assert pictures(output).items() >= done.items()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte; the test may fill it or remount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "lutfuse-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_is_named_and_leaves_only_whole_pictures(
    tree, tmp_path, lutfuse, pictures, small_disk, capsys
):
    source, output = tree(12, size=(480, 320)), small_disk / "out"
    assert lutfuse(source, output, "--quality", "100") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert lutfuse(source, tmp_path / "clean", "--quality", "100") == 0
    assert pictures(output).items() < pictures(tmp_path / "clean").items()


def test_a_read_only_disk_is_wrong_usage(tree, lutfuse, small_disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert lutfuse(tree(1), small_disk / "out") == 2
    assert "--output" in capsys.readouterr().err


def test_a_folder_where_a_picture_should_go_fails_its_bracket_only(tree, tmp_path, lutfuse, rows):
    source, output = tree(2), tmp_path / "out"
    (output / "fused" / "scene 000.jpg" / "in the way").mkdir(parents=True)
    assert lutfuse(source, output) == 3
    assert [row["stage"] for row in rows(output, "failures")] == ["write"]
    assert [row["group_id"] for row in rows(output, "metrics")] == ["scene 001"]
