"""Objects by URI on real servers: whole or not at all, by their literal names, with the errors of files."""

import pytest

from lutfuse.transforms.storage import files

NAMES = [
    "plain.jpg",
    "a b/c d.jpg",
    "wild*card?.jpg",
    "sets [1].jpg",
    "per%2fcent.jpg",
    "hash#tag.jpg",
    "query?x=1&y=2.jpg",
    "plus+and;semi.jpg",
    "üñí/😀.jpg",
    "dots/../up.jpg",
    "./here.jpg",
    "double//slash.jpg",
    "back\\slash.jpg",
    "quote'\".jpg",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_literally_by_every_operation(bucket, name):
    if bucket.scheme == "gs" and name in ("dots/../up.jpg", "./here.jpg", "double//slash.jpg"):
        pytest.skip("the emulator keeps objects in a folder tree and cannot store this name")
    uri = f"{bucket.root}/{name}"
    files.write_bytes(uri, b"0123456789", mime="image/jpeg")
    files.write_bytes(f"{bucket.root}/other.jpg", b"other")
    assert bucket.keys() == sorted([name, "other.jpg"])
    assert bucket.mime(name) == "image/jpeg"
    assert files.read_bytes(uri) == b"0123456789"
    assert files.read_bytes(uri, limit=4) == b"0123"
    assert files.read_bytes(uri, limit=99) == b"0123456789"
    assert files.read_start(uri, 4) == (b"0123", 10)
    assert files.size(uri) == 10
    files.delete([uri])
    assert bucket.keys() == ["other.jpg"]
    assert files.size(uri) is None
    files.delete([uri])


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
@pytest.mark.parametrize("data", [b"0123456789", b""])
def test_a_store_that_answers_a_range_with_all_bytes_is_read_as_well(bucket, data, tmp_path):
    bucket.put("x.jpg", data)
    fault = bucket.proxy.inject("whole", "GET .*x.jpg", times=99)
    uri = f"{bucket.root}/x.jpg"
    assert files.read_bytes(uri) == data
    for limit in (1, 4, 10, 99):
        assert files.read_start(uri, limit) == (data[:limit], len(data))
    with files.opened(uri) as file:
        assert file.read() == data
    assert len(fault.hits) == 6
