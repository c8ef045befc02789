"""Whole jobs on `gs://` and `s3://`: every kind of input, images, rows, run.json, and starting again."""

import argparse
import io
import json

import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from rich.console import Console

from lutfuse.models.student.checkpoint import SHIPPED
from lutfuse.pipeline import job
from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.cli import main
from lutfuse.pipeline.commands.fuse import add_fuse_arguments, resolve
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.discovery import find_brackets


def fuse(bucket, source, *flags, output="out"):
    """Runs `lutfuse fuse` in this process; returns its exit code and what it printed."""
    parser = argparse.ArgumentParser()
    add_fuse_arguments(parser)
    root = bucket.root
    argv = ["--input", source if "://" in source or source.startswith("/") else f"{root}/{source}"]
    argv += ["--output", output if output.startswith("/") else f"{root}/{output}", *flags]
    args, _ = parser.parse_known_args(argv)
    beam_args = [*bucket.beam_args, *(flag for flag in flags if flag.startswith("--direct_"))]
    console = Console(file=io.StringIO(), width=200)
    code = job.run(resolve(args, beam_args), console)
    return code, console.file.getvalue()


def fused(bucket, output="out"):
    return {key: bucket.get(key) for key in bucket.keys(f"{output}/fused/")}


def test_a_folder_is_fused_into_the_bucket_and_a_second_run_only_recovers_rows(bucket, upload_bracket):
    for i, size in enumerate([(64, 48), (40, 56)]):
        upload_bracket(f"in/scene {i}", 2 + i, size=size, seed=i, reference=i == 0)
    bucket.put("in/alone/1.jpg", b"one")
    code, text = fuse(bucket, "in")
    assert code == 3, text
    first = fused(bucket)
    assert sorted(first) == ["out/fused/scene 0.jpg", "out/fused/scene 1.jpg"]
    assert image_io.decode(first["out/fused/scene 0.jpg"]).pixels.shape == (48, 64, 3)
    assert bucket.mime("out/fused/scene 0.jpg") == "image/jpeg"
    found = {row["group_id"]: row for row in bucket.rows("metrics")}
    assert found["scene 0"]["psnr_db"] > 5
    assert found["scene 1"]["psnr_db"] is None
    assert [row["group_id"] for row in bucket.rows("failures")] == ["alone"]
    run = json.loads(bucket.get("out/run.json"))
    assert bucket.mime("out/run.json") == "application/json"
    assert (run["status"], run["counts"]) == ("finished", {"fused": 2, "failed": 1})
    expected = ["brackets", "failures", "fused", "metrics", "run.json"]
    assert sorted({key.split("/")[1] for key in bucket.keys("out/")}) == expected

    bucket.proxy.requests.clear()
    code, text = fuse(bucket, "in")
    assert code == 3
    assert "by an earlier run" in text
    assert fused(bucket) == first
    assert not [
        line for line in bucket.proxy.requests if line.startswith(("PUT", "POST")) and "fused" in line
    ]
    again = {row["group_id"]: row["psnr_db"] for row in bucket.rows("metrics")}
    assert again == {name: row["psnr_db"] for name, row in found.items()}


def test_a_manifest_in_the_bucket_is_fused_to_disk_under_its_literal_names(bucket, upload_bracket, tmp_path):
    uris = {name: upload_bracket(f"in/{name}", 2, suffix="png") for name in ("b [x]", "c#1%2f?")}
    lines = [json.dumps({"group_id": name, "uris": found}) for name, found in uris.items()]
    relative = [uri.removeprefix(f"{bucket.root}/") for uri in uris["b [x]"]]
    lines.append(json.dumps({"group_id": "deep/rel", "uris": relative}))
    lines.append(
        json.dumps({"group_id": "gone", "uris": [f"{bucket.root}/in/1.jpg", f"{bucket.root}/2.jpg"]})
    )
    bucket.put("list.jsonl", "\n".join([*lines, "{broken"]).encode())
    code, text = fuse(bucket, "list.jsonl", output=str(tmp_path / "out"))
    assert code == 3, text
    written = [
        str(path.relative_to(tmp_path / "out" / "fused")) for path in (tmp_path / "out").rglob("*.jpg")
    ]
    assert sorted(written) == ["b [x].jpg", "c#1%2f?.jpg", "deep/rel.jpg"]
    failures = pq.read_table(tmp_path / "out" / "failures").to_pylist()
    assert {row["group_id"]: row["error_type"] for row in failures} == {
        "gone": "FileNotFoundError",
        "line-5": "invalid_bracket",
    }


def test_globs_name_the_same_brackets_as_the_folder(bucket):
    keys = ["in/a/1.jpg", "in/a/2.jpg", "in/a/b [x]/1.jpg", "in/a/b [x]/2.jpg", "in/c/1.jpg", "other/1.jpg"]
    for key in keys:
        bucket.put(key, b"x")
    found = {source: by_id(bucket, source) for source in ("in", "in/", "in/**/*.jpg", "in/*")}
    assert found["in"] == {
        "a": ["in/a/1.jpg", "in/a/2.jpg"],
        "a/b [x]": ["in/a/b [x]/1.jpg", "in/a/b [x]/2.jpg"],
        "c": ["in/c/1.jpg"],
    }
    assert all(brackets == found["in"] for brackets in found.values())
    assert set(by_id(bucket, "in/*/*.jpg")) == {"a", "c"}
    assert by_id(bucket, "nothing") == by_id(bucket, "no*thing") == {}


def by_id(bucket, source):
    brackets = find_brackets(f"{bucket.root}/{source}")
    return {b.group_id: [uri.removeprefix(f"{bucket.root}/") for uri in b.uris] for b in brackets}


# What a worker needs for s3:// are Beam's options, for gs:// the environment that it inherits.
@pytest.mark.parametrize("bucket", ["s3", pytest.param("gs", marks=pytest.mark.slow)], indirect=True)
def test_worker_processes_know_the_endpoint_and_keys(bucket, upload_bracket):
    for i in range(3):
        upload_bracket(f"in/{i}", 2, seed=i)
    code, text = fuse(bucket, "in", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert code == 0, text
    assert list(fused(bucket)) == [f"out/fused/{i}.jpg" for i in range(3)]
    assert {row["group_id"] for row in bucket.rows("metrics")} == {"0", "1", "2"}


def test_weights_and_look_in_the_bucket_give_the_picture_of_local_ones(bucket, upload_bracket):
    upload_bracket("in/a", 2)
    for end in (".safetensors", ".json"):
        bucket.put(f"models/mine{end}", SHIPPED.with_suffix(end).read_bytes())
    assert fuse(bucket, "in", output="local")[0] == 0
    weights = f"{bucket.root}/models/mine.safetensors"
    bucket.proxy.inject(503, r"mine\.json")
    workers = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
    assert fuse(bucket, "in", "--weights", weights, *workers, output="stored")[0] == 0
    (one,), (two,) = bucket.rows("metrics", "local"), bucket.rows("metrics", "stored")
    assert one["model"] == two["model"]
    pixels = [image_io.decode(bucket.get(f"{name}/fused/a.jpg")).pixels for name in ("local", "stored")]
    assert (pixels[0] == pixels[1]).all()
    reads = [line for line in bucket.proxy.requests if line.startswith("GET") and "mine.safetensors" in line]
    assert len([line for line in reads if bucket.scheme == "s3" or "alt=media" in line]) == 1


def test_weights_that_are_not_in_the_bucket_are_wrong_usage_and_nothing_is_written(bucket, upload_bracket):
    upload_bracket("in/a", 2)
    bucket.put("mine.safetensors", b"x")
    with pytest.raises(UsageError, match=r"mine.safetensors: .*/mine.json is missing; name a .safetensors"):
        fuse(bucket, "in", "--weights", f"{bucket.root}/mine.safetensors")
    assert bucket.keys("out/") == []


def test_the_command_finds_a_look_in_the_store_that_its_options_name(bucket, upload_bracket, monkeypatch):
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    upload_bracket("in/a", 2)
    bucket.put("warm.json", b'{"temperature": 0.2}')
    argv = ["--input", f"{bucket.root}/in", "--output", f"{bucket.root}/out", *bucket.beam_args]
    assert main(["fuse", *argv, "--look", f"{bucket.root}/warm.json"]) == 0
    assert bucket.rows("metrics")[0]["look"] == "warm.json"
