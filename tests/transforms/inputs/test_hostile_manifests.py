"""Manifests of strangers: any bytes give brackets or one clear error, and no name leaves the output."""

import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutfuse.transforms.inputs.brackets import Bracket, InputError, from_json, to_json, validated
from lutfuse.transforms.inputs.discovery import find_brackets
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.task import Task

EXAMPLES = int(os.environ.get("LUTFUSE_FUZZ_EXAMPLES", "150"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="LUTFUSE_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRICKS = [
    "..",
    "../x",
    "/etc/x",
    "a/../../x",
    "%2e%2e/x",
    "..%2f..",
    "a\0b",
    "\ud800",
    "\udce9",
    "#",
    "?",
    " ",
    "n" * 300,
    "gs://b/x",
    "s3://",
    "C:\\x",
    "~",
    "$(id)",
    "a\nb",
    "😀",
    "\u202e",
    ".",
    "a/./b",
    "a//b",
]
text = st.one_of(st.sampled_from(TRICKS), st.text(max_size=20))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)
records = st.one_of(
    values,
    st.fixed_dictionaries(
        {"group_id": st.one_of(text, values), "uris": st.one_of(st.lists(text, max_size=4), values)},
        optional={"reference": values, "notes": values},
    ),
)


def check(path):
    """What must hold for every manifest, whatever is in it."""
    try:
        brackets = list(find_brackets(str(path)))
    except InputError:
        return []
    for bracket in brackets:
        assert from_json(to_json(bracket)) == bracket
        if bracket.problem is None:
            for root in ("/out", "gs://bucket/out", "s3://bucket"):
                uri = Task(bracket, FuseOptions(output=root), "model").output_uri
                assert uri.startswith(f"{root}/fused/")
                assert not {"", ".", ".."} & set(uri.removeprefix(f"{root}/").split("/"))
            assert os.path.normpath(f"/out/fused/{bracket.group_id}").startswith("/out/fused/")
    return brackets


@fuzz
@given(lines=st.lists(records, max_size=6))
def test_any_json_lines_are_one_bracket_each(tmp_path, lines):
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert len(check(path)) == len(lines)


@fuzz
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".jsonl", ".csv", ".parquet"]))
def test_any_bytes_give_brackets_or_one_clear_error(tmp_path, data, suffix):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(data)
    check(path)


@fuzz
@given(rows=st.lists(st.tuples(text, text, text), max_size=5), extra=st.text(max_size=20))
def test_any_table_of_text_as_csv(tmp_path, rows, extra):
    path = tmp_path / "m.csv"
    lines = ["group_id,uris,reference", *(",".join(row) for row in rows), extra]
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    check(path)


@fuzz
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_parquet_manifest_is_an_error_and_no_crash(tmp_path, cut, flip, value):
    table = pa.table({"group_id": ["a", "b"], "uris": [["1.jpg", "2.jpg"], ["3.jpg", "4.jpg"]]})
    file = io.BytesIO()
    pq.write_table(table, file)
    data = bytearray(file.getvalue())
    data[flip % len(data)] = value
    path = tmp_path / "m.parquet"
    path.write_bytes(data[: len(data) - cut])
    check(path)


@pytest.mark.parametrize("name", TRICKS)
def test_every_trick_is_a_name_below_the_output_or_a_problem(name, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"group_id": name, "uris": ["1.jpg", "2.jpg"]}))
    (bracket,) = check(path)
    refused = bracket.problem is not None
    assert refused == (name not in ("%2e%2e/x", "..%2f..", "\udce9", "#", "?", "~", "$(id)", "😀", "\u202e"))


def test_validating_twice_changes_nothing():
    once = list(validated([Bracket("a", ("1", "2")), Bracket("a", ("1",))]))
    assert list(validated(once)) == once
