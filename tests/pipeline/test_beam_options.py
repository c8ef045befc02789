"""Options of Beam: what is added to them, which are refused, and what is never written down."""

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, SetupOptions

from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.beam_options import beam_options, check_beam_args, without_secrets


def test_an_option_nobody_knows_is_refused_and_beams_own_are_not():
    check_beam_args(["--runner", "DirectRunner", "--direct_running_mode=multi_processing", "--project", "p"])
    check_beam_args(["--s3_endpoint_url", "http://127.0.0.1:1"])
    with pytest.raises(UsageError, match="--qualty: unknown option; see 'lutfuse fuse --help'"):
        check_beam_args(["--qualty", "80"])
    with pytest.raises(UsageError, match="stray: unknown"):
        check_beam_args(["stray"])


def test_an_abbreviated_option_of_beam_is_unknown():
    with pytest.raises(UsageError, match="--runne: unknown"):
        check_beam_args(["--runne", "DirectRunner"])


def test_no_session_is_pickled(parse):
    options = beam_options(parse("--save_main_session"))
    assert options.view_as(SetupOptions).save_main_session is False


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["--runner=DataflowRunner", "--job_name=mine"], "mine"),
        (["--runner=DirectRunner"], None),
    ],
)
def test_a_job_name_that_was_given_or_is_not_needed_stays(parse, argv, name):
    assert beam_options(parse(*argv)).view_as(GoogleCloudOptions).job_name == name


def test_a_job_on_dataflow_is_named_by_its_input(parse):
    config = parse("--runner=DataflowRunner")
    assert beam_options(config).view_as(GoogleCloudOptions).job_name == f"lutfuse-{config.job_id}"


def test_keys_tokens_and_passwords_are_left_out_of_what_is_shown():
    shown = ["--s3_endpoint_url=http://x", "--region", "us", "--s3_disable_ssl", "--runner", "DirectRunner"]
    hidden = ["--s3_access_key_id=AK", "--s3_secret_access_key", "wJalr", "--s3_session_token", "--streaming"]
    assert list(without_secrets([*shown, *hidden])) == [
        *shown,
        "--s3_access_key_id=***",
        "--s3_secret_access_key",
        "***",
        "--s3_session_token",
        "--streaming",
    ]
