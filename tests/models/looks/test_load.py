"""Look documents: what is accepted, what is refused and how, presets, schema and digest."""

import hashlib
import json
import pickle
from importlib import resources

import numpy as np
import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.looks.cube import Cube, write_cube
from lutfuse.models.looks.load import PRESETS, LookError, load_look, load_preset
from lutfuse.models.looks.look import Look, controls, look_schema


def document(**values):
    return json.dumps(values).encode()


def test_a_document_sets_its_controls_and_leaves_the_rest_at_default():
    look = load_look(document(exposure=0.5, neutral_lock=True, title="Dusk"), name="dusk.json")
    assert look == Look(exposure=0.5, neutral_lock=True)
    assert look.name == "dusk.json"


@pytest.mark.parametrize("data", [b"{}", b'\xef\xbb\xbf {"exposure": 0}', b'{"$schema": "look.schema.json"}'])
def test_a_document_of_defaults_is_the_default_look(data):
    assert load_look(data, name="x.json") == Look()
    assert load_look(data, name="no-extension") == Look()


def test_a_cube_file_is_a_look_by_extension_or_content():
    text = write_cube(np.full((2, 2, 2, 3), 0.5), title="grey").encode()
    for name in ("x.cube", "X.CUBE", "unnamed"):
        look = load_look(text, name=name)
        assert look.cube is not None
        assert look.cube.title == "grey"


REFUSED = {
    "unknown key": (
        document(exposre=1),
        r"x.json: unknown Look keys \['exposre'\]; known are exposure, .*, neutral_lock. The file",
    ),
    "too high": (
        document(exposure=9),
        r"x.json: exposure is 9; it must be a number from -5 to 5 \(EV\)$",
    ),
    "too low": (
        document(temperature=-101),
        r"x.json: temperature is -101; it must be a number from -100 to 100 \(mired\)$",
    ),
    "text": (
        document(contrast="20"),
        r"contrast is '20'; it must be a number from -100 to 100 \(%\)$",
    ),
    "null": (document(tint=None), "tint is None; it must be a number"),
    "switch for number": (
        document(strength=True),
        "strength is True; it must be a number from 0 to 1",
    ),
    "number for switch": (document(neutral_lock=1), "neutral_lock is 1; it must be true or false"),
    "title": (document(title=3), "title is 3; it must be a text in double quotes"),
    "schema": (b'{"$schema": null}', r"\$schema is None; it must be a text in double quotes"),
    "duplicate": (b'{"tint": 1, "tint": 2}', "x.json: 'tint' is given twice; keep one"),
    "NaN": (b'{"tint": NaN}', "x.json: NaN is no number in JSON"),
    "infinite": (b'{"tint": 1e999}', "tint is inf; it must be a number from -50 to 50"),
    "digits": (b'{"tint": ' + b"9" * 6000 + b"}", "tint is inf; it must be"),
    "syntax": (b'{"tint": 1,\n "exposure" 2}', "x.json: line 2 is not JSON"),
    "list": (b"[]", "must be one JSON object"),
    "nested": (b"[" * 60000, "x.json: nested too deeply"),
    "latin-1": ('{"title": "é"}'.encode("latin-1"), "x.json: not UTF-8 text"),
    "size": (b" " * 70000, "x.json: 70000 bytes, of at most 65536; is it the right file"),
    "cube inside": (document(cube="x.cube"), r"unknown Look keys \['cube'\]"),
    "name inside": (document(name="x"), r"unknown Look keys \['name'\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_document_is_refused_with_key_value_and_rule(case):
    data, message = REFUSED[case]
    with pytest.raises(LookError, match=message) as caught:
        load_look(data, name="x.json")
    assert str(caught.value).startswith("x.json")
    assert ";" in str(caught.value) or "(" in str(caught.value), "value, rule and remedy"


def test_a_bad_cube_is_a_look_error_that_names_the_line():
    with pytest.raises(LookError, match=r"x\.cube, line 2: a row holds three numbers"):
        load_look(b"LUT_3D_SIZE 2\n0 0\n", name="x.cube")


@pytest.mark.parametrize("values", [{"exposure": float("nan")}, {"pivot": 300}, {"strength": -0.1}])
def test_a_look_made_in_code_keeps_the_same_rules(values):
    with pytest.raises(ConfigError, match=f"{next(iter(values))} is .*; it must be a number from"):
        Look(**values)


def test_every_control_is_accepted_at_both_ends():
    for key, control in controls().items():
        for value in (control.low, control.high):
            assert getattr(load_look(document(**{key: value}), name="x.json"), key) == value


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_differ(name):
    look = load_preset(name)
    assert look.name == name
    assert (look == Look()) == (name == "neutral")
    assert len({load_preset(other).digest for other in PRESETS}) == len(PRESETS)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(LookError, match="punchier: no such preset; choose from neutral, punchy"):
        load_preset("punchier")


def test_the_published_schema_is_the_one_of_the_code():
    published = (
        resources.files("lutfuse.models.looks").joinpath("look.schema.json").read_text(encoding="utf-8")
    )
    assert json.loads(published) == look_schema()


def test_the_schema_knows_every_key_a_document_may_have():
    properties = look_schema()["properties"]
    assert set(properties) == {"$schema", "title", "neutral_lock", *controls()}
    for key, control in controls().items():
        assert control.low <= properties[key]["default"] <= control.high
        assert properties[key]["default"] == getattr(Look(), key)


def test_digest_follows_what_changes_pixels_and_nothing_else():
    assert Look(name="a").digest == Look(name="b").digest
    assert Look(exposure=1).digest == Look(exposure=1.0).digest
    assert Look(tint=-0.0).digest == Look().digest
    assert Look(pivot=99).digest == Look().digest, "no contrast, no pivot"
    assert Look(contrast=5, pivot=99).digest != Look(contrast=5).digest
    assert Look(exposure=1, strength=0).digest == Look().digest
    assert Look(strength=0.5).digest == Look().digest
    assert Look(exposure=1, strength=0.5).digest != Look(exposure=1).digest
    assert Look(balance=5).digest != Look(detail=5).digest


def test_digest_is_the_same_on_every_machine_and_day():
    assert Look(exposure=0.5, neutral_lock=True).digest.startswith("efb046b7686ef697")


def test_digest_of_a_cube_follows_its_nodes_and_domain():
    nodes = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 2, 2, 3)
    look = Look(cube=Cube(nodes))
    assert look.digest == Look(cube=Cube(nodes.copy(), title="other")).digest
    assert look.digest != Look(cube=Cube(nodes, domain_max=(2, 2, 2))).digest
    assert look.digest != Look(cube=Cube(nodes * np.float32(0.5))).digest
    assert look.digest != look.at_strength(0.5).digest
    assert look.at_strength(0).digest == Look().digest


def test_strengths_multiply():
    assert Look(exposure=1, strength=0.5).at_strength(0.5).strength == 0.25
    with pytest.raises(ConfigError, match="strength is 1.5; it must be a number from 0 to 1"):
        Look(strength=0.5).at_strength(1.5)


def test_a_look_travels_to_workers():
    cube = Cube(np.zeros((2, 2, 2, 3), np.float32))
    look = Look(exposure=1, cube=cube, name="x")
    for sent in (look, cube):
        before = pickle.dumps(sent)
        digest = sent.digest
        for data in (before, pickle.dumps(sent)):
            assert pickle.loads(data).digest == digest  # noqa: S301 - our own bytes


def test_a_digest_once_asked_for_shows_in_nothing_else(monkeypatch):
    look, twin = Look(exposure=1), Look(exposure=1)
    digest = look.digest
    assert look == twin
    assert hash(look) == hash(twin)
    assert repr(look) == repr(twin)
    assert look.at_strength(0.5).digest != digest, "of another look"
    monkeypatch.setattr(hashlib, "sha256", None)
    assert look.digest is digest, "hashed once"
