"""Brackets and the rules they must keep."""

import pytest

from lutfuse.transforms.inputs.brackets import (
    MAX_NAME_BYTES,
    Bracket,
    from_json,
    group_id_problem,
    to_json,
    validated,
)


@pytest.mark.parametrize("group_id", ["a", "a/b c", "été/写真", "x#1", "a%2fb", "..hidden", "a..b/c"])
def test_plain_names_are_allowed(group_id):
    assert group_id_problem(group_id) is None


@pytest.mark.parametrize(
    ("group_id", "rule"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("../x", "leave the output"),
        ("a/../../x", "leave the output"),
        ("/etc/x", "leave the output"),
        ("a//b", "leave the output"),
        ("a/", "leave the output"),
        ("./a", "leave the output"),
        ("gs://b/x", "leave the output"),
        ("a\0b", "control character"),
        ("a\\..\\b", "backslash"),
        ("n" * (MAX_NAME_BYTES + 1), "over 240 bytes"),
        ("é" * 121, "over 240 bytes"),
        ("half \ud800", "lone surrogate"),
    ],
)
def test_names_that_could_leave_the_output_tree_are_refused(group_id, rule):
    assert rule in group_id_problem(group_id)


def test_json_round_trip_keeps_every_field():
    bracket = Bracket("a/b", ("x.jpg", "\udce9.jpg"), "ref.jpg", "why")
    assert from_json(to_json(bracket)) == bracket
    assert from_json(to_json(Bracket("a", ("x", "y")))) == Bracket("a", ("x", "y"))


def test_a_repeated_group_id_keeps_both_entries_and_blames_the_second():
    first, second = validated([Bracket("a", ("1", "2")), Bracket("a", ("3", "4"))])
    assert first.problem is None
    assert "used twice" in second.problem
    assert second.uris == ("3", "4")


def test_a_repeated_group_id_is_found_however_many_came_between_and_no_other_is_blamed():
    names = [f"{i % 365:03}/bracket-{i:07}" for i in range(20_000)]
    names += ["twisted\udce9", "twisted\\udce9", names[0], names[-1], "twisted\udce9"]
    found = list(validated(Bracket(name, ("1", "2")) for name in names))
    assert [bracket.group_id for bracket in found] == names
    assert [b.group_id for b in found if b.problem and "used twice" in b.problem] == names[-3:]


@pytest.mark.parametrize(("count", "words"), [(0, "0 exposure"), (1, "1 exposure"), (10, "at most 9")])
def test_brackets_of_the_wrong_size_stay_in_the_list_with_a_problem(count, words):
    (bracket,) = validated([Bracket("a", tuple(map(str, range(count))))])
    assert words in bracket.problem


@pytest.mark.parametrize("count", [2, 9])
def test_two_to_nine_exposures_are_fine(count):
    (bracket,) = validated([Bracket("a", tuple(map(str, range(count))))])
    assert bracket.problem is None
