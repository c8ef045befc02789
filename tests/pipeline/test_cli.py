"""The command line: exit codes, messages in one style, and the output of whole jobs in their own process."""

import importlib.metadata
import json
import os
import pkgutil
import re
import subprocess
import sys

import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.pipeline import cli, commands
from lutfuse.pipeline.arguments import EXIT_CODES, INTERRUPTED, WRONG_USAGE, UsageError


def lutfuse(*argv, cwd=None):
    command = [sys.executable, "-m", "lutfuse", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=cwd, check=False)


@pytest.fixture
def tree(tmp_path, write_bracket):
    for i, size in enumerate([(64, 48), (40, 56)]):
        write_bracket(tmp_path / "in" / f"scene {i}", 2 + i, size=size, seed=i, reference=i == 0)
    return tmp_path / "in"


def test_a_folder_tree_is_fused_and_a_second_run_only_recovers_rows(tree, tmp_path, rows):
    out = tmp_path / "out"
    done = lutfuse("fuse", "--input", tree, "--output", out, "--quality", 80)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (out / "fused").iterdir()) == ["scene 0.jpg", "scene 1.jpg"]
    found = {row["group_id"]: row for row in rows(out, "metrics")}
    assert found["scene 0"]["psnr_db"] > 5
    assert found["scene 1"]["psnr_db"] is None
    assert rows(out, "failures") == []
    for word in ("fused", "2", "PSNR", "MEF-SSIM", "median msec", f"{out}/fused"):
        assert word in done.stdout
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["counts"] == {"fused": 2, "failed": 0}
    assert run["config"]["quality"] == 80
    assert run["model"].startswith("lutfuse")

    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (out / "fused").iterdir()}
    again = lutfuse("fuse", "--input", tree, "--output", out, "--quality", 80)
    assert again.returncode == 0, again.stderr
    assert "by an earlier run" in again.stdout
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (out / "fused").iterdir()} == before
    assert {row["group_id"]: row["psnr_db"] for row in rows(out, "metrics")} == {
        name: row["psnr_db"] for name, row in found.items()
    }


def test_several_processes_write_the_same_bytes_as_one(tree, tmp_path, rows):
    one, two = tmp_path / "one", tmp_path / "two"
    assert lutfuse("fuse", "--input", tree, "--output", one).returncode == 0
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    done = lutfuse("fuse", "--input", tree, "--output", two, *workers)
    assert done.returncode == 0, done.stderr
    for path in (one / "fused").iterdir():
        assert path.read_bytes().replace(b"/one/", b"/two/") == (two / "fused" / path.name).read_bytes()
    assert len(rows(two, "metrics")) == 2


def test_bad_brackets_are_failure_rows_and_exit_code_3(tree, tmp_path, write_bracket, rows):
    write_bracket(tree / "broken", 3)
    (tree / "broken" / "1.jpg").write_bytes(b"not a picture")
    write_bracket(tree / "alone", 1)
    write_bracket(tree / "sizes", 2)
    write_bracket(tree / "sizes", 1, size=(20, 20))
    out = tmp_path / "out"
    done = lutfuse("fuse", "--input", tree, "--output", out)
    assert done.returncode == 3, done.stderr
    assert {row["group_id"]: row["stage"] for row in rows(out, "failures")} == {
        "broken": "decode",
        "alone": "input",
        "sizes": "decode",
    }
    assert len(rows(out, "metrics")) == 2
    assert "broken" in done.stdout


def test_manifests_with_repeated_and_escaping_names_lose_nothing(tree, tmp_path, rows):
    uris = [str(p) for p in sorted((tree / "scene 1").glob("*.jpg"))]
    names = ["same", "same", "../escape", "deep/er"]
    lines = [json.dumps({"group_id": name, "uris": uris}) for name in names]
    (tmp_path / "m.jsonl").write_text("\n".join([*lines, "{broken"]))
    out = tmp_path / "x" / "out"
    done = lutfuse("fuse", "--input", tmp_path / "m.jsonl", "--output", out, "--format", "tiff")
    assert done.returncode == 3, done.stderr
    assert sorted(r["group_id"] for r in rows(out, "metrics")) == ["deep/er", "same"]
    assert sorted(r["group_id"] for r in rows(out, "failures")) == ["../escape", "line-5", "same"]
    assert not (tmp_path / "x" / "escape.tif").exists()


def test_dry_run_shows_the_configuration_and_writes_nothing(tree, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    done = lutfuse("fuse", "--input", tree, "--output", tmp_path / "out", "--lut-size", 9, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "2 brackets, 5 exposures" in done.stdout
    assert '"lut_size": 9' in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--input", "nowhere", "--output", "out"], "--input"),
        (["--input", "empty", "--output", "out"], "no images found"),
        (["--input", "in", "--output", "file"], "--output"),
        (["--input", "in", "--output", "file/below"], "cannot be written"),
        (["--input", "in", "--output", "out", "--lut-size", "1"], "choose 2 to 129"),
        (["--input", "in", "--output", "out", "--qualty", "80"], "unknown option"),
        (["--input", "bad.csv", "--output", "out"], "column"),
        (
            ["--input", "in", "--output", "out", "--weights", "none.safetensors"],
            "none.safetensors is missing",
        ),
        (["--input", "in", "--output", "out", "--weights", "lone.safetensors"], "lone.json is missing; name"),
        (["--input", "in", "--output", "out", "--weights", "http://x/y.safetensors"], "no such storage"),
        (["--output", "out"], "--input"),
    ],
)
def test_wrong_usage_ends_with_2_and_leaves_nothing_behind(tree, tmp_path, argv, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "lone.safetensors").touch()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    before = sorted(tmp_path.rglob("*"))
    done = lutfuse("fuse", *argv, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_forbidden_output_is_wrong_usage(tree, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert lutfuse("fuse", "--input", tree, "--output", tmp_path / "locked" / "out").returncode == 2


# The modules, not cli.COMMANDS: what is there must behave alike.
MODULES = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_every_command_is_listed_and_explains_itself(name, capsys):
    assert name in cli.COMMANDS
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: lutfuse {name} ")
    assert "--" in text.partition("options")[2]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("argv", [["--hel"], ["--no-such-option"], ["stray"]])
def test_every_command_refuses_wrong_usage_in_one_style_and_abbreviates_nothing(name, argv, capsys):
    assert cli.main([name, *argv]) == WRONG_USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(rf"lutfuse {name}: .+; see 'lutfuse {name} --help'\n", shown.err)


def test_the_help_lists_all_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert EXIT_CODES in text
    for name, line in cli.COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(line)}$", text, re.MULTILINE)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lutfuse {importlib.metadata.version('lutfuse')}\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["frobnicate"], "invalid choice: 'frobnicate' (choose from "),
        ([], "the following arguments are required: COMMAND"),
        (["--frobnicate"], "required: COMMAND"),
        (["--vers"], "required: COMMAND"),
        ([""], "invalid choice: ''"),
    ],
)
def test_an_unknown_command_is_wrong_usage_and_points_to_the_help(argv, words, capsys):
    assert cli.main(argv) == WRONG_USAGE
    message = capsys.readouterr().err
    assert words in message
    assert re.fullmatch(r"lutfuse: .+; see 'lutfuse --help'\n", message)


@pytest.mark.parametrize("error", [UsageError, ConfigError])
def test_what_a_command_refuses_is_printed_after_its_name(monkeypatch, capsys, error):
    def refuse(argv):
        raise error("--input x: no such file; give a folder")

    monkeypatch.setattr("lutfuse.pipeline.commands.demo.main", refuse)
    assert cli.main(["demo"]) == WRONG_USAGE
    assert capsys.readouterr().err == "lutfuse demo: --input x: no such file; give a folder\n"


def test_an_interrupted_command_says_how_to_continue(monkeypatch, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr("lutfuse.pipeline.commands.demo.main", interrupted)
    assert cli.main(["demo"]) == INTERRUPTED
    assert "lutfuse demo: interrupted; run the same command again to continue" in capsys.readouterr().err


def test_the_demo_bracket_can_be_fused(tmp_path, rows):
    assert lutfuse("demo", "--output", tmp_path / "in", "--width", 96, "--height", 64).returncode == 0
    done = lutfuse("fuse", "--input", tmp_path / "in", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out", "metrics")[0]["psnr_db"] > 5


def test_a_manifest_that_breaks_off_in_the_middle_fuses_nothing_and_ends_with_2(tmp_path):
    good = json.dumps({"group_id": "a", "uris": ["1.jpg", "2.jpg"]}).encode()
    manifest = tmp_path / "brackets.jsonl"
    manifest.write_bytes(good + b"\n" + b"\n" * 100_000 + b"\xff\xfe\n")
    done = lutfuse("fuse", "--input", manifest, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "save the manifest as UTF-8" in done.stderr
    assert not list((tmp_path / "out").rglob("*.jsonl"))


def test_help_and_version_load_neither_beam_nor_torch():
    program = """
import sys
from lutfuse.pipeline import cli
for argument in ("--help", "--version"):
    try:
        cli.main([argument])
    except SystemExit as end:
        assert end.code == 0
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"apache_beam", "torch", "boto3", "pyarrow"} & set(done.stdout.split()) == set()
