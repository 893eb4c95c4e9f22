"""The report: a page that needs nothing else, Markdown, JSON and plots."""

import re
from pathlib import Path

import pytest

from rt_seg.benchmarks.harness.files import read_json
from rt_seg.benchmarks.harness.plots import NAMES

from .made_up import TO, benchmark


@pytest.mark.slow
@pytest.mark.usefixtures("parts")
def test_report_is_one_page_with_everything_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page loads nothing, escapes what it shows and draws what there is; Markdown and JSON lie beside it."""
    folder, old = tmp_path / "report", tmp_path / "old.json"
    folder.mkdir()
    (folder / f"{min(NAMES)}.png").write_bytes(b"of an earlier run")
    assert benchmark("--json", old).exit_code == 0
    monkeypatch.setattr("sys.argv", ["rt-seg", "benchmark", "--report", "report"])
    result = benchmark("--report", folder, "--compare", old)
    assert result.exit_code == 0, result.output
    assert {file.name for file in folder.iterdir()} == {
        "report.html",
        "report.md",
        "benchmark.json",
        "first-timeline.png",
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)  # an SVG refers to its own parts
    assert "@import" not in page
    assert "<script" not in page
    assert "one &lt;thread&gt;" in page
    assert "one <thread>" not in page
    assert page.count("<svg") == 1
    assert "var(--series-1)" in page
    assert "within noise" in page
    assert "$" not in page
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert f"| an engine, one <thread> | 100.2 (100.0{TO}100.4) | 10.00 | 10.00 | - | 10.00 | 0.8500 | - |" in text
    assert text.startswith("`rt-seg benchmark --report report`, ")
    assert [part.result.name for part in read_json(folder / "benchmark.json").parts] == ["first"]
