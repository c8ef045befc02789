"""One bracket in ten is damaged, in fifteen ways: one row each, of the right category, on every storage."""

import io
import json
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from lutfuse.pipeline import cli

RGB = np.tile(np.arange(32, dtype=np.uint8)[None, :, None] * 8, (24, 1, 3))


def pillow(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg(shade=0):
    return pillow(Image.fromarray(RGB // 2 + np.uint8(shade)), "JPEG", quality=95)


def png():
    return pillow(Image.fromarray(RGB), "PNG")


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def huge_png():
    """A header that promises 60,000 x 60,000 pixels, and nothing behind it."""
    head = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def broken_png():
    data = bytearray(png())
    data[data.index(b"IDAT") + 12] ^= 0xFF
    return bytes(data)


def animated():
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    return pillow(frames[0], "PNG", save_all=True, append_images=frames[1:])


# What stands in the place of the last exposure, and the row that must come of it.
DAMAGE = {
    "empty": (b"", ("decode", "empty")),
    "html": (b"<html><h1>404 not found</h1></html>", ("decode", "not_an_image")),
    "zeros": (bytes(5000), ("decode", "not_an_image")),
    "half a JPEG": (jpeg()[: len(jpeg()) // 2], ("decode", "truncated")),
    "half a PNG": (png()[: len(png()) // 2], ("decode", "truncated")),
    "flipped PNG bits": (broken_png(), ("decode", "corrupt")),
    "GIF as JPEG": (pillow(Image.fromarray(RGB[..., 0]), "GIF"), ("decode", "unsupported")),
    "CMYK": (pillow(Image.fromarray(RGB).convert("CMYK"), "JPEG"), ("decode", "unsupported")),
    "animated": (animated(), ("decode", "unsupported")),
    "pages": (tiff(np.stack([RGB, RGB]), photometric="rgb"), ("decode", "unsupported")),
    "float": (tiff(RGB.astype(np.float32), photometric="rgb"), ("decode", "unsupported")),
    "bomb": (huge_png(), ("decode", "too_large")),
    "another size": (pillow(Image.fromarray(RGB[:8]), "JPEG"), ("decode", "size_mismatch")),
    "missing": (None, ("read", "FileNotFoundError")),
    "alone": (None, ("input", "invalid_bracket")),
}


def hostile_bracket(i, every):
    """(group_id, {name: bytes}, names in the manifest): one in `every` brackets is damaged."""
    kinds = list(DAMAGE)
    files = {f"{i}/{k}.jpg": jpeg(40 * k) for k in range(3)}
    names = list(files)
    if i % every:
        return f"good {i}", files, names
    kind = kinds[i // every % len(kinds)]
    if DAMAGE[kind][0] is None:
        del files[names[2]]
    else:
        files[names[2]] = DAMAGE[kind][0]
    return f"{kind} {i}", files, names[:1] if kind == "alone" else names


def write_brackets(put, count, every=10):
    lines = []
    for i in range(count):
        group_id, files, names = hostile_bracket(i, every)
        lines.append(json.dumps({"group_id": group_id, "uris": names}))
        for name, data in files.items():
            put(name, data)
    put("list.jsonl", "\n".join(lines).encode())


def check(count, metrics, failures, every=10):
    kinds = list(DAMAGE)
    damaged = {i: kinds[i // every % len(kinds)] for i in range(0, count, every)}
    assert {row["group_id"]: (row["stage"], row["error_type"]) for row in failures} == {
        f"{kind} {i}": DAMAGE[kind][1] for i, kind in damaged.items()
    }
    assert len(failures) == len(damaged)
    assert sorted(row["group_id"] for row in metrics) == sorted(
        f"good {i}" for i in range(count) if i not in damaged
    )


def put_local(folder):
    def put(name, data):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return put


def test_every_kind_of_damage_is_one_row_of_its_category(tmp_path, rows):
    write_brackets(put_local(tmp_path / "in"), 30, every=2)
    code = cli.main(["fuse", "--input", f"{tmp_path}/in/list.jsonl", "--output", f"{tmp_path}/out"])
    assert code == 3
    check(30, rows(tmp_path / "out", "metrics"), rows(tmp_path / "out", "failures"), every=2)


def bucket_job(bucket, count):
    write_brackets(lambda name, data: bucket.put(f"in/{name}", data), count)
    source, output = f"{bucket.root}/in/list.jsonl", f"{bucket.root}/out"
    assert cli.main(["fuse", "--input", source, "--output", output, *bucket.beam_args]) == 3
    check(count, bucket.rows("metrics"), bucket.rows("failures"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_thousand_brackets_with_a_tenth_damaged_on_object_storage(bucket):
    bucket_job(bucket, 1000)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_thousand_brackets_with_a_tenth_damaged_need_no_more_memory_than_a_hundred(tmp_path, rows):
    peaks = {}
    for count in (100, 1000):
        folder = tmp_path / str(count)
        write_brackets(put_local(folder / "in"), count)
        argv = ["fuse", "--input", f"{folder}/in/list.jsonl", "--output", f"{folder}/out"]
        done = subprocess.run([sys.executable, "-m", "lutfuse", *argv], capture_output=True, check=False)
        assert done.returncode == 3, done.stderr
        check(count, rows(folder / "out", "metrics"), rows(folder / "out", "failures"))
        # Of the largest child so far, in KiB: the second is not smaller than the first.
        peaks[count] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory in MiB: {peaks}")
    assert peaks[1000] < peaks[100] + 60
