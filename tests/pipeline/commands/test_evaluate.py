"""`lutfuse evaluate`, on brackets small enough for seconds."""

import csv
from pathlib import Path

import pytest

from lutfuse.pipeline.cli import main


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_command_writes_table_summary_and_sheets(write_bracket, tmp_path, capsys):
    write_bracket(tmp_path / "data" / "x" / "a", reference=True)
    write_bracket(tmp_path / "data" / "b", 2)
    out = tmp_path / "out"
    argv = ["--data", str(tmp_path / "data"), "--output", str(out), "--lut-size", "9"]
    assert main(["evaluate", *argv]) == 0
    rows = read(out / "scores.csv")
    assert [(row["bracket"], row["method"]) for row in rows[:4]] == [
        ("b", "lutfuse"), ("b", "mertens"), ("b", "average"), ("x/a", "lutfuse"),
    ]  # fmt: skip
    assert float(rows[3]["psnr_db"]) > 5
    assert rows[0]["psnr_db"] == ""
    assert 0 < float(rows[0]["mef_ssim_c"]) <= 1
    assert (out / "sheets" / "x--a.jpg").stat().st_size > 1000
    assert (out / "scores.md").read_text().count("\n") == 2 + 6
    assert "| mean of 2 | lutfuse |" in capsys.readouterr().out


def test_tables_only_and_ends_only_on_request(write_bracket, tmp_path):
    write_bracket(tmp_path / "a")
    argv = ["--data", str(tmp_path / "a"), "--output", str(tmp_path / "out"), "--lut-size", "2"]
    assert main(["evaluate", *argv, "--no-sheets", "--frames", "ends"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scores.csv", "scores.md"]
    assert {row["frames"] for row in read(tmp_path / "out" / "scores.csv")} == {"2"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "missing"], "--data: missing is not a folder"),
        (["--data", "empty"], "holds no bracket"),
        (["--data", "ok", "--lut-size", "1"], "2 to 129"),
        (["--data", "ok", "--max-side", "0"], "--max-side: 0 is out of range"),
        (["--data", "ok", "--weights", "none.safetensors"], "does not exist"),
        (["--data", "ok", "--weights", "file"], "its JSON"),
        (["--data", "many"], "at most 9"),
        (["--data", "broken"], "1.jpg is not an image"),
        (["--data", "ok", "--output", "file"], "--output file: cannot be made"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(
    extra, message, write_bracket, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    write_bracket(Path("ok"))
    write_bracket(Path("many"), 10, size=(16, 16))
    write_bracket(Path("broken"))
    Path("broken", "1.jpg").write_bytes(b"no image")
    assert main(["evaluate", "--output", "out", *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lutfuse evaluate: ")
    assert message in error
