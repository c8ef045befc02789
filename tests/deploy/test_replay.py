"""The Dockerfile's steps are replayed as written, and leftovers of the build are found."""

import subprocess

import pytest

RECIPE = """\
ARG BASE=3.11
ARG WORD=default
# a comment
FROM other:1 AS lender
FROM python:${BASE} AS build
WORKDIR /work
COPY LICENSE README.md ./
COPY --from=lender /bin/x /bin/x
RUN mkdir -p /out && \\
    cp LICENSE /out/it.txt
RUN LUTFUSE_CUDA=ON env | grep LUTFUSE_CUDA > /out/cuda.txt
FROM python:${BASE}-slim
ENV GREETING=hello LD_LIBRARY_PATH=/usr/nothing
COPY LICENSE /opt/kept/
RUN --mount=type=bind,from=build,source=/out,target=/out cp /out/it.txt /opt/kept/copied.txt
RUN echo "$GREETING ${WORD} ${LD_LIBRARY_PATH:-}" > /opt/kept/said.txt
RUN useradd someone
ENTRYPOINT ["/boot"]
"""


@pytest.fixture
def without_environments(replay, monkeypatch):
    """Makes no virtual environments: they take seconds, and these steps need none."""
    run = subprocess.run

    def quick(command, **options):
        return None if "venv" in command else run(command, **options)

    monkeypatch.setattr(replay.subprocess, "run", quick)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)


def test_steps_run_in_the_folder_of_their_stage(replay, tmp_path, without_environments):
    made = replay.Replay(tmp_path, {"WORD": "given"}, cuda=False)
    last = made.run(RECIPE)
    assert (tmp_path / "build/work/README.md").is_file()
    assert (tmp_path / "build/out/cuda.txt").read_text() == "LUTFUSE_CUDA=OFF\n"
    assert last.root == tmp_path / "image"
    kept = tmp_path / "image/opt/kept"
    assert (kept / "copied.txt").read_bytes() == (kept / "LICENSE").read_bytes()
    assert (kept / "said.txt").read_text().split() == ["hello", "given"]


def test_what_cannot_be_replayed_is_listed_and_not_passed_over(replay, tmp_path, without_environments):
    made = replay.Replay(tmp_path, {}, cuda=True)
    made.run(RECIPE)
    assert len(made.skipped) == 3
    assert [line.split()[0] for line in made.skipped] == ["COPY", "RUN", "ENTRYPOINT"]


def test_a_failing_step_ends_the_replay(replay, tmp_path, without_environments):
    with pytest.raises(subprocess.CalledProcessError):
        replay.Replay(tmp_path, {}, cuda=True).run("FROM python:3\nRUN false\nRUN touch /late")
    assert not (tmp_path / "image/late").exists()


def test_an_instruction_it_does_not_know_is_an_error(replay, tmp_path):
    with pytest.raises(AttributeError, match="healthcheck"):
        replay.Replay(tmp_path, {}, cuda=True).run("HEALTHCHECK none")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_dockerfile_replays_into_clean_environments(replay, tmp_path, capfd):
    argv = ["--root", str(tmp_path), "--no-cuda"]
    assert replay.main(argv) == 0
    assert "nothing of the build" in capfd.readouterr().out
