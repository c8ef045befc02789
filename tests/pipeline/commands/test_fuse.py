"""Flags become a checked configuration, or a message with flag, value, rule and remedy."""

import pytest

from lutfuse.pipeline.arguments import UsageError


def test_defaults_are_those_of_the_help_text_and_local_paths_become_absolute(tmp_path, monkeypatch, parse):
    monkeypatch.chdir(tmp_path)
    config = parse()
    assert config.source == f"{tmp_path}/in"
    assert config.fuse.output == f"{tmp_path}/out"
    assert (config.fuse.image_format, config.fuse.quality, config.fuse.lut_size) == ("jpeg", 95, 33)
    assert (config.group_by, config.reference, config.fuse.device) == ("folder", "reference", "auto")
    assert not config.fuse.overwrite


def test_bucket_uris_stay_as_they_are(parse):
    config = parse("--input", "gs://b/in/", "--output", "s3://c/out/")
    assert (config.source, config.fuse.output) == ("gs://b/in", "s3://c/out")
    assert config.manifest_uri.startswith("s3://c/out/brackets/")


def test_equal_inputs_share_a_job_id_and_others_do_not(parse):
    assert parse().job_id == parse("--quality", "80").job_id
    assert parse().job_id != parse("--reference", "truth").job_id
    assert parse().job_id != parse("--group-by", "exif").job_id
    assert parse().job_id != parse("--exif-gap", "60").job_id


def test_beam_options_are_passed_on(parse):
    assert parse("--runner", "DirectRunner").beam_args == ("--runner", "DirectRunner")


def test_wildcards_in_the_output_are_refused(parse):
    with pytest.raises(UsageError, match="--output"):
        parse("--output", "out/*")


@pytest.mark.parametrize("name", ["a/b", " "])
def test_a_reference_that_is_no_file_name_is_refused(name, parse):
    with pytest.raises(UsageError, match="--reference"):
        parse("--reference", name)


def test_weights_are_named_as_workers_can_find_them(tmp_path, monkeypatch, parse):
    monkeypatch.chdir(tmp_path)
    assert parse().fuse.weights is None
    assert parse("--weights", "mine.safetensors").fuse.weights == f"{tmp_path}/mine.safetensors"
    assert parse("--weights", "s3://b/mine.safetensors").fuse.weights == "s3://b/mine.safetensors"
