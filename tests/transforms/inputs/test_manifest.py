"""Manifests of three kinds say the same; bad lines are kept as problems."""

import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lutfuse.transforms.inputs.brackets import Bracket, InputError
from lutfuse.transforms.inputs.manifest import read_manifest

RECORDS = [
    {"group_id": "a", "uris": ["1.jpg", "sub/2.jpg"], "reference": "r.png"},
    {"group_id": "b/c", "uris": ["gs://bucket/1.jpg", "/abs/2.jpg", "3.jpg"]},
]


def write(path, records):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r) for r in records) + "\n\n")
    elif path.suffix == ".csv":
        lines = ["group_id,uris,reference,notes"]
        lines += [f"{r['group_id']},{';'.join(r['uris'])},{r.get('reference', '')},mine" for r in records]
        path.write_text("\n".join(lines))
    else:
        pq.write_table(pa.Table.from_pylist([{"reference": None, "notes": 7} | r for r in records]), path)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_three_formats_give_the_same_brackets(tmp_path, suffix):
    path = write(tmp_path / f"m.{suffix}", RECORDS)
    base = str(tmp_path)
    assert list(read_manifest(str(path))) == [
        Bracket("a", (f"{base}/1.jpg", f"{base}/sub/2.jpg"), f"{base}/r.png"),
        Bracket("b/c", ("gs://bucket/1.jpg", "/abs/2.jpg", f"{base}/3.jpg")),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "no object"),
        ('"text"', "line 2"),
        ('{"uris": ["a", "b"]}', "group_id is None"),
        ('{"group_id": 7, "uris": ["a", "b"]}', "must be text"),
        ('{"group_id": "g"}', "uris is None"),
        ('{"group_id": "g", "uris": [1, 2]}', "must be a path"),
        ('{"group_id": "g", "uris": ["a\\u0000", "b"]}', "must be a path"),
        ('{"group_id": "g", "uris": ["a", "b"], "reference": 3}', "must be a URI"),
    ],
)
def test_a_bad_line_becomes_a_bracket_with_its_problem_and_the_rest_is_read(tmp_path, line, words):
    path = tmp_path / "m.jsonl"
    good = json.dumps(RECORDS[1])
    path.write_text(f"{good}\n{line}\n{good}\n")
    brackets = list(read_manifest(str(path)))
    assert [b.problem is None for b in brackets] == [True, False, True]
    assert words in brackets[1].problem
    assert "line 2" in brackets[1].problem


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.csv", b"name,files\n1,2\n", "group_id, uris missing"),
        ("m.csv", b'group_id,uris\n"a,b\n', "not CSV"),
        ("m.csv", b"", "missing"),
        ("m.jsonl", b"\xff\xfe\x00", "not UTF-8"),
        ("m.parquet", b"PAR1nonsense", "not a readable Parquet"),
        ("m.parquet", b"", "not a readable Parquet"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_its_name_and_a_remedy(tmp_path, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        list(read_manifest(str(path)))
    assert str(path) in str(caught.value)


def test_a_long_parquet_file_is_read_in_pieces_and_only_what_is_known(tmp_path):
    def peak(count):
        path = tmp_path / f"{count}.parquet"
        uris = [[f"gs://bucket/{i:08}/{k}.jpg" for k in range(3)] for i in range(count)]
        table = pa.table(
            {"group_id": [str(i) for i in range(count)], "uris": uris, "notes": ["x" * 99] * count}
        )
        pq.write_table(table, path)
        del uris, table
        tracemalloc.start()
        assert sum(bracket.problem is None for bracket in read_manifest(str(path))) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = peak(5_000)
    assert peak(20_000) < 1.2 * few


def test_a_parquet_file_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"group_id": ["a"]}), path)
    with pytest.raises(InputError, match="uris missing"):
        list(read_manifest(str(path)))
