"""`run.json`: configuration, input counts and status of a job."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lutfuse.pipeline.beam_options import without_secrets
from lutfuse.pipeline.config import JobConfig
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.storage import files


@dataclass
class Found:
    """Counts of what the input contains."""

    brackets: int = 0
    exposures: int = 0
    unusable: int = 0

    def add(self, bracket: Bracket) -> Bracket:
        """Count `bracket` and return it."""
        self.brackets += 1
        self.exposures += len(bracket.uris)
        self.unusable += bracket.problem is not None
        return bracket


def describe(config: JobConfig) -> dict[str, Any]:
    """The resolved configuration as plain JSON values."""
    look, luts = config.fuse.look, config.fuse.luts
    values: dict[str, Any] = asdict(replace(config, fuse=replace(config.fuse, look=None, luts=None)))
    fuse: dict[str, Any] = values.pop("fuse")
    fuse["look"] = look and {"name": look.name, "strength": look.strength, "digest": look.digest}
    fuse["luts"] = luts and luts.uri
    values["beam_args"] = list(without_secrets(config.beam_args))
    return {"input": values.pop("source")} | values | fuse


def write_run(
    config: JobConfig,
    found: Found,
    status: str,
    counts: dict[str, int] | None = None,
    model: str | None = None,
) -> None:
    """Write `run.json`; `counts` are brackets by outcome, and `model` the identifier of the model."""
    document = {
        "status": status,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "config": describe(config),
        "found": asdict(found),
        "counts": counts,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    uri = files.join(config.fuse.output, "run.json")
    files.write_bytes(uri, text.encode("utf-8", "backslashreplace"), mime="application/json")
