"""The heavy step as a plain function: one bracket, one picture, one row."""

import errno
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutfuse.models.looks.load import load_preset
from lutfuse.transforms import fuse
from lutfuse.transforms.fuse import fuse_bracket, scores
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.images.types import DecodeLimits
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.rows import METRICS_SCHEMA, TIMINGS, check_row
from lutfuse.transforms.stages import BracketError
from lutfuse.transforms.storage import files


def test_a_bracket_becomes_a_picture_and_a_row_of_the_schema(bracket, options, predictor):
    row = fuse_bracket(bracket, options, predictor)
    assert check_row(row, METRICS_SCHEMA) == row
    data = Path(row["output_uri"]).read_bytes()
    assert row["output_uri"] == f"{options.output}/fused/deep/scene.jpg"
    assert image_io.decode(data).pixels.shape == (48, 64, 3)
    assert (row["width"], row["height"], row["n_exposures"]) == (64, 48, 3)
    assert row["bytes_out"] == len(data)
    assert row["bytes_in"] == sum(Path(uri).stat().st_size for uri in bracket.uris)
    assert row["psnr_db"] > 5
    assert 0 < row["ssim"] <= 1
    assert row["mef_ssim"] > 0.5
    assert all(row[name] > 0 for name in TIMINGS)
    assert row["total_ms"] >= max(row[name] for name in TIMINGS)


def test_the_same_bracket_gives_the_same_bytes_and_any_order_the_same_picture(bracket, options, predictor):
    uri = fuse_bracket(bracket, options, predictor)["output_uri"]
    first = Path(uri).read_bytes()
    fuse_bracket(bracket, options, predictor)
    assert Path(uri).read_bytes() == first
    turned = Bracket(bracket.group_id, bracket.uris[::-1], bracket.reference)
    fuse_bracket(turned, options, predictor)
    again = image_io.decode(Path(uri).read_bytes()).pixels
    assert np.array_equal(image_io.decode(first).pixels, again)


def test_a_look_changes_the_picture_and_only_as_far_as_asked(bracket, tmp_path, predictor):
    def pixels(name, **look):
        options = FuseOptions(f"{tmp_path}/{name}", image_format="png", **look)
        row = fuse_bracket(bracket, options, predictor)
        return row["look"], image_io.decode(Path(row["output_uri"]).read_bytes()).pixels.astype(int)

    _, plain = pixels("plain")
    name, warm = pixels("warm", look=load_preset("warm"))
    _, none = pixels("none", look=load_preset("warm").at_strength(0.0))
    assert name == "warm"
    assert (warm[..., 0] - warm[..., 2]).mean() > (plain[..., 0] - plain[..., 2]).mean() + 1
    assert np.array_equal(none, plain)


@pytest.mark.parametrize("count", range(2, 10))
@pytest.mark.parametrize(("suffix", "dtype"), [("jpg", np.uint8), ("png", np.uint16), ("tif", np.uint16)])
def test_two_to_nine_exposures_of_8_and_16_bit(tmp_path, write_bracket, predictor, count, suffix, dtype):
    uris = write_bracket(tmp_path / "in", count, suffix=suffix, dtype=dtype)
    options = FuseOptions(output=f"{tmp_path}/out", image_format="png")
    row = fuse_bracket(Bracket("b", tuple(uris)), options, predictor)
    fused = image_io.decode(Path(row["output_uri"]).read_bytes()).pixels
    assert fused.dtype == dtype
    assert row["bit_depth"] == np.dtype(dtype).itemsize * 8
    assert row["psnr_db"] is None
    assert np.ptp(fused) > 0


def test_mixed_bit_depths_are_fused_at_16_bit(tmp_path, write_bracket, predictor):
    shallow = write_bracket(tmp_path / "a", 2, suffix="png")
    deep = write_bracket(tmp_path / "b", 2, suffix="png", dtype=np.uint16)
    options = FuseOptions(output=f"{tmp_path}/out", image_format="tiff")
    row = fuse_bracket(Bracket("b", (shallow[0], deep[1])), options, predictor)
    assert row["bit_depth"] == 16


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (13, 7)])
def test_tiny_and_odd_sizes_are_fused_and_undefined_scores_are_null(tmp_path, write_bracket, predictor, size):
    uris = write_bracket(tmp_path / "in", 2, suffix="png", size=size)
    row = fuse_bracket(Bracket("b", tuple(uris)), FuseOptions(output=f"{tmp_path}/out"), predictor)
    assert (row["width"], row["height"]) == size
    assert row["mef_ssim"] is None


def failure(bracket, options, predictor):
    with pytest.raises(BracketError) as caught:
        fuse_bracket(bracket, options, predictor)
    return caught.value


def test_a_problem_found_by_discovery_is_an_input_failure(options, predictor):
    error = failure(Bracket("b", ("x",), problem="1 exposure"), options, predictor)
    assert (error.stage, str(error)) == ("input", "1 exposure")


def test_a_missing_file_is_a_read_failure_that_names_it(bracket, options, predictor):
    error = failure(Bracket("b", (bracket.uris[0], "/nowhere/x.jpg")), options, predictor)
    assert error.stage == "read"
    assert "/nowhere/x.jpg" in str(error)


def test_an_unreadable_image_is_a_decode_failure_that_names_it(bracket, options, predictor):
    Path(bracket.uris[1]).write_bytes(b"<html>not found</html>")
    error = failure(bracket, options, predictor)
    assert error.stage == "decode"
    assert bracket.uris[1] in str(error)
    assert not Path(options.output).exists()


def test_exposures_of_different_sizes_are_refused(tmp_path, write_bracket, options, predictor):
    one = write_bracket(tmp_path / "a", 2, size=(64, 48))
    two = write_bracket(tmp_path / "b", 2, size=(48, 64))
    error = failure(Bracket("b", (one[0], two[1])), options, predictor)
    assert error.error_type == "size_mismatch"
    assert "0.jpg 64x48, 1.jpg 48x64" in str(error)


def test_a_file_over_the_byte_limit_is_refused_unread(bracket, options, predictor):
    import dataclasses

    limited = dataclasses.replace(options, limits=DecodeLimits(max_bytes=100))
    error = failure(bracket, limited, predictor)
    assert (error.stage, error.error_type) == ("read", "too_large")


@pytest.mark.parametrize("content", [b"junk", None])
def test_a_bad_reference_costs_the_psnr_and_never_the_picture(bracket, options, predictor, frames, content):
    odd_size = image_io.encode(frames(1, size=(8, 8))[0], format="png")
    Path(bracket.reference).write_bytes(content or odd_size)
    row = fuse_bracket(bracket, options, predictor)
    assert row["psnr_db"] is None
    assert Path(row["output_uri"]).exists()


def test_a_full_disk_is_the_jobs_error_and_not_the_brackets(bracket, options, predictor, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        fuse_bracket(bracket, options, predictor)


def test_an_unexpected_error_is_a_failure_row_of_its_stage(bracket, options, predictor, monkeypatch):
    monkeypatch.setattr(image_io, "encode", lambda *a, **k: 1 / 0)
    error = failure(bracket, options, predictor)
    assert (error.stage, error.error_type) == ("encode", "ZeroDivisionError")


def test_scores_of_identical_images_are_perfect(frames):
    image = frames(1)[0]
    row = scores([image, image], image, image)
    assert row["psnr_db"] == float("inf")
    assert row["ssim"] == pytest.approx(1)
    assert row["mef_ssim"] == pytest.approx(1, abs=1e-3)


def test_threads_of_a_process_share_the_gpu_a_few_at_a_time(monkeypatch, bracket, options, predictor):
    here, most = [], []

    def fuse_slowly(images, grid, lut, *, device):
        here.append(device)
        most.append(len(here))
        time.sleep(0.05)
        here.pop()
        return images[0]

    monkeypatch.setattr("lutfuse.transforms.fuse.fuse", fuse_slowly)
    monkeypatch.setattr("lutfuse.transforms.fuse.cuda_device_count", lambda: 1)
    scenes = [replace(bracket, group_id=str(i)) for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda scene: fuse_bracket(scene, options, predictor), scenes))
    assert {row["device"] for row in rows} == {"cuda"}
    assert max(most) <= fuse.MAX_ON_GPU


def test_on_the_cpu_no_thread_waits_for_another(monkeypatch, bracket, options, predictor):
    class Taken:
        def __enter__(self):
            raise AssertionError("the CPU waited for the GPU")

        __exit__ = None

    monkeypatch.setattr(fuse, "GPU_SLOTS", Taken())
    assert fuse_bracket(bracket, replace(options, device="cpu"), predictor)["device"] == "cpu"


@pytest.mark.parametrize(
    ("asked", "devices", "used"),
    [("auto", 0, "cpu"), ("auto", 1, "cuda"), ("cpu", 1, "cpu"), ("cuda", 1, "cuda")],
)
def test_the_device_is_that_of_the_machine(monkeypatch, asked, devices, used):
    monkeypatch.setattr(fuse, "cuda_device_count", lambda: devices)
    assert fuse.used_device(asked) == used


def test_a_gpu_that_is_not_there_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(fuse, "cuda_device_count", lambda: 0)
    with pytest.raises(RuntimeError, match="--device cuda: no CUDA device here; use --device auto"):
        fuse.used_device("cuda")
