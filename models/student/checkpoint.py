"""Weights files: tensors as safetensors, the rest as JSON beside them, tied by a hash; never a class."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lutfuse.models.atomic_file import write_whole
from lutfuse.models.checked import ConfigError, read_json
from lutfuse.models.student.config import MAX_PARAMETERS, StudentConfig
from lutfuse.models.student.network import Student, parameter_count

SHIPPED = Path(__file__).parent / "weights" / "lutfuse-student.safetensors"
KEYS = {"name", "config", "sha256", "parameters", "provenance"}


def save_student(student: Student, path: Path, name: str, provenance: Mapping[str, Any]) -> str:
    """Write `path` (.safetensors) and its .json; returns the sha256 of the tensors."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in student.state_dict().items()}
    content = save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    card = {
        "name": name,
        "config": student.config.to_json(),
        "sha256": digest,
        "parameters": parameter_count(student),
        "provenance": dict(provenance),
    }
    write_whole(path, content)
    write_whole(path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    return digest


def load_student(path: Path) -> tuple[Student, str]:
    """The student in inference mode and its model id: name + first hex digits of the hash."""
    card = _read_card(path.with_suffix(".json"))
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist; name a .safetensors file that lutfuse train wrote"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise ValueError(
            f"{path} has sha256 {digest[:12]}…, its JSON says {card['sha256'][:12]}…; fetch both again"
        )
    config = StudentConfig.from_json(card["config"])
    if config.to_json() != card["config"]:
        raise ValueError(
            f"{path.with_suffix('.json')}: its configuration is incomplete; fetch both files again"
        )
    student = Student(config)
    if parameter_count(student) > MAX_PARAMETERS:
        raise ValueError(
            f"{path}: {parameter_count(student):,} parameters; a student has at most {MAX_PARAMETERS:,}"
        )
    student.load_state_dict(_tensors(content, path, student), strict=True)
    return student.eval().requires_grad_(False), f"{card['name']}-{digest[:8]}"


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = read_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; a weights file needs its JSON beside it") from None
    except ConfigError as error:
        raise ValueError(f"{path}: {error}; fetch it again") from None
    if set(card) != KEYS:
        raise ValueError(
            f"{path} must hold exactly the keys {sorted(KEYS)}; it may come from another version"
        )
    return card


def _tensors(content: bytes, path: Path, student: Student) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); fetch it again") from None
    expected = {key: value.shape for key, value in student.state_dict().items()}
    found = {key: value.shape for key, value in tensors.items()}
    if expected != found:
        odd = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        raise ValueError(f"{path}: tensors do not fit the configuration: {odd[:4]}; fetch both files again")
    return tensors
