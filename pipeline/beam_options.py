"""Options that are passed on to Beam: checked, completed, and displayed without secrets."""

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
    """Beam's options, with the settings that lutfuse needs."""
    options = PipelineOptions(list(config.beam_args))
    # All functions and classes are in importable modules, so workers need no pickle of __main__.
    options.view_as(SetupOptions).save_main_session = False
    cloud = options.view_as(GoogleCloudOptions)
    if dataflow.is_dataflow(options) and not cloud.job_name:
        # Dataflow refuses a second job of the same name; two on the same input would mix up their rows.
        cloud.job_name = f"lutfuse-{config.job_id}"
    return options


def check_beam_args(beam_args: list[str]) -> None:
    """Reject options that neither lutfuse nor Beam knows; Beam itself silently ignores them.

    Raises:
      UsageError: an unknown option.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in _with_options(PipelineOptions):
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(beam_args)
    if unknown:
        raise UsageError(
            f"{unknown[0]}: unknown option; see 'lutfuse fuse --help', or Beam's documentation of the runner"
        )


def _with_options(cls: Any) -> Iterator[Any]:
    """Subclasses of `cls`, at any depth, that define options of their own."""
    for child in cls.__subclasses__():
        if "_add_argparse_args" in vars(child):
            yield child
        yield from _with_options(child)


def without_secrets(arguments: Iterable[str]) -> Iterator[str]:
    """Beam's options for display and storage: the values of keys, tokens and passwords become ***."""
    hide_next = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = _SECRET.match(name) is not None
        if hide_next and not argument.startswith("--"):
            yield "***"
        else:
            yield f"{name}=***" if secret and equals else argument
        hide_next = secret and not equals
