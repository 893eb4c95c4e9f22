"""The documentation builds without a warning, loads nothing from elsewhere, and names every command and option."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from rt_seg.cli import app

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built documentation."""
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        if os.environ.get("RT_SEG_REQUIRE_DOCS") == "1":
            pytest.fail("mkdocs is not installed; pip install '.[docs]'")
        pytest.skip("mkdocs is not installed; pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ended = subprocess.run(
        build, cwd=_ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    return folder


def test_every_page_is_built_and_nothing_is_left_to_include(site: Path) -> None:
    """Each page of docs/ is there, with what it includes."""
    for page in (_ROOT / "docs").glob("*.md"):
        html = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        assert "<!-- include" not in html, page.name
        assert "<!-- commands" not in html, page.name


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """A hospital's reader asks no foreign host for fonts, scripts, styles or pictures."""
    loads = re.compile(
        r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*href=\"?(?:https?:)?//"
    )
    styles = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")
    pages, sheets = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert pages
    assert sheets
    assert [page.name for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
    assert [sheet.name for sheet in sheets if styles.search(sheet.read_text(encoding="utf-8"))] == []


def test_every_command_and_option_is_named(site: Path) -> None:
    """The reference is read off the command line, so that nothing is forgotten."""
    html = (site / "command-line.html").read_text(encoding="utf-8")
    for name, command in cast("Any", typer.main.get_command(app)).commands.items():
        assert f"rt-seg {name}" in html
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert option in html or parameter.param_type_name == "argument"


def test_the_python_api_is_described(site: Path) -> None:
    """Each public name of the package has its entry."""
    html = (site / "python.html").read_text(encoding="utf-8")
    for name in (
        "rt_seg.realtime.iterate.stream",
        "rt_seg.realtime.result.FrameResult",
        "rt_seg.engines.load.load_engine",
    ):
        assert f'id="{name}"' in html
