"""Options that belong to Beam: checked, completed, and shown without secrets."""

import argparse
import re
from collections.abc import Iterable, Iterator
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions

from lutfuse.pipeline import dataflow
from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.config import JobConfig

_SECRET = re.compile(r"--\w*(key|secret|token|password|connection_string)")


def beam_options(config: JobConfig) -> PipelineOptions:
    """Beam's options, with what lutfuse needs of them."""
    options = PipelineOptions(list(config.beam_args))
    # Nothing of ours is defined in __main__, so there is no session to pickle.
    options.view_as(SetupOptions).save_main_session = False
    cloud = options.view_as(GoogleCloudOptions)
    if dataflow.is_dataflow(options) and not cloud.job_name:
        # Dataflow refuses a second job of one name; two on the same input would replace each other's rows.
        cloud.job_name = f"lutfuse-{config.job_id}"
    return options


def check_beam_args(beam_args: list[str]) -> None:
    """Refuse options that neither lutfuse nor Beam knows: Beam itself would drop a misspelt one in silence.

    Raises:
      UsageError: an unknown option.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in _all_subclasses(PipelineOptions):
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(beam_args)
    if unknown:
        raise UsageError(
            f"{unknown[0]}: unknown option; see 'lutfuse fuse --help', or Beam's own for runner options"
        )


def _all_subclasses(cls: Any) -> list[Any]:
    found = []
    for child in cls.__subclasses__():
        found += (
            [child, *_all_subclasses(child)]
            if "_add_argparse_args" in vars(child)
            else _all_subclasses(child)
        )
    return found


def without_secrets(arguments: Iterable[str]) -> Iterator[str]:
    """Beam's options as they may be shown and stored: keys, tokens and passwords are left out."""
    hide_next = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = _SECRET.match(name) is not None
        if hide_next and not argument.startswith("--"):
            yield "***"
        else:
            yield f"{name}=***" if secret and equals else argument
        hide_next = secret and not equals
