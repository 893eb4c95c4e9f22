"""The project around the code: the README's commands, what is shipped, what is declared, what no file may hold."""

import ast
import re
import subprocess
import sys
import tokenize
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from shutil import copytree, ignore_patterns, unpack_archive
from typing import Any, cast

import pytest
import typer
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rt_seg.cli import app

_ROOT = Path(__file__).parent.parent
_FOLDERS = ("benchmarks", "engines", "realtime", "train")
_NOT_OURS = ignore_patterns(
    "__pycache__", "*.egg-info", "build", "dist", ".git", ".venv*", ".*_cache", ".hypothesis", ".coverage*"
)
_BUILD = "import sys, setuptools.build_meta as backend; getattr(backend, sys.argv[1])(sys.argv[2])"


def _files(folder: Path = _ROOT) -> Iterator[Path]:
    """Every file of the project once: links, caches and what is built are left out."""
    ignored = _NOT_OURS(str(folder), [path.name for path in folder.iterdir()])
    for path in sorted(folder.iterdir()):
        if path.name in ignored or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _texts() -> Iterator[tuple[Path, str]]:
    for path in _files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, a video or a model


def _readme_commands() -> list[str]:
    set_up = (_ROOT / "README.md").read_text(encoding="utf-8").split("\n## ")[1]
    return re.findall(r"```sh\n(.*?)\n```", set_up, flags=re.DOTALL)


def test_readme_has_two_commands_of_one_line() -> None:
    """A newcomer types one line to see an overlay, and one to run the tests."""
    demo, tests = _readme_commands()
    assert "\n" not in demo + tests
    assert demo.endswith("rt-seg stream demo -o demo-overlay.mp4")
    assert tests.endswith("pytest")


def test_ci_runs_what_the_readme_says() -> None:
    """`.ci/run` installs the README's system packages and runs the rest of its test command, letter by letter."""
    script = (_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    system, _, own = _readme_commands()[1].partition(" && python3 ")
    assert f"({system})" in script
    assert f"(python3 {own})" in script
    packages = system.partition(" install -y ")[2]
    assert f"dpkg --status {packages} " in script


_EXAMPLES = re.findall(r"```python\n(.*?)```", (_ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
_CHECKS = """
import cv2
truth = cv2.resize(load_samples()[0].mask, mask.shape[::-1]) > 127
assert (mask & truth).sum() / (mask | truth).sum() > 0.5
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(_EXAMPLES)))
def test_python_in_the_readme_runs(number: int, tmp_path: Path) -> None:
    """Each Python example of the README runs as it stands; the engine's finds the polyp of the packaged sample."""
    example = _EXAMPLES[number]
    program = example + (_CHECKS if "load_samples" in example else "")
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout or list(tmp_path.glob("sighting-*.png"))
    assert ended.stderr == ""


def test_the_readme_has_its_examples() -> None:
    """The examples above are the README's: none is left out by how it is fenced."""
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    assert len(_EXAMPLES) == readme.count("```python") == 5


def test_settings_in_the_documentation_are_accepted(tmp_path: Path) -> None:
    """Each settings file that the documentation shows holds options of `stream`, with values that they take."""
    shown = [text for page in (_ROOT / "docs").glob("*.md") for text in _toml_in(page)]
    assert shown
    command = cast("Any", typer.main.get_command(app)).commands["stream"]
    for text in shown:
        (tmp_path / "shown.toml").write_text(text, encoding="utf-8")
        command.make_context("stream", ["--config", str(tmp_path / "shown.toml")])


def _toml_in(page: Path) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_no_file_names_this_machine_or_a_foreign_host() -> None:
    """What is in the repository holds on every machine: no path of one machine, no address but of documents."""
    machine = re.compile(r"(?<![\w.<{}])/(?:work|root|home|Users)/\w|\.\./shared")
    address = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)+)", flags=re.IGNORECASE)
    known = {"creativecommons.org", "doi.org", "www.apache.org", "127.0.0.1"}
    for path, text in _texts():
        assert machine.search(text) is None, path
        assert set(address.findall(text)) <= known, path


_DIRECTIVE = re.compile(
    r"#\s*(?:(?:ruff: )?noqa(?::\s*[A-Z0-9, ]+\d)?|(?:type|pyright):\s*ignore(?:\[[\w\-, ]*\])?|pyright:\s*[\w=]+)"
)


def _bare_directives(path: Path) -> Iterator[int]:
    """Line numbers of the directives to checkers without a reason beside them, above them or on the same one above."""
    lines = ["", *path.read_text(encoding="utf-8").splitlines()]
    explained: tuple[int, str] | None = None
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            found = _DIRECTIVE.match(token.string) if token.type == tokenize.COMMENT else None
            if found is None:
                continue
            line = token.start[0]
            beside = re.search(r"\w+ \w+", token.string[found.end() :])
            above = re.match(r"\s*#", lines[line - 1]) and not _DIRECTIVE.match(lines[line - 1].strip())
            if beside or above or explained == (line - 1, found[0]):
                explained = (line, found[0])
            else:
                yield line


def test_every_ignore_has_its_reason() -> None:
    """Where a checker is silenced, the reason stands on the same line or in the comment above."""
    bare = [f"{path}:{line}" for path in _files() if path.suffix == ".py" for line in _bare_directives(path)]
    assert bare == []


def _declared(*extras: str) -> list[Requirement]:
    """What pyproject.toml says that rt-seg needs, with these extras."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][name] for name in extras)]
    return [Requirement(text) for texts in lists for text in texts]


def _tree(requirements: Iterable[Requirement], found: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """All distributions that installing these brings here, by name."""
    found = {} if found is None else found
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        extras = ["", *requirement.extras]
        if name not in found:
            found[name] = distribution(name)
            needed = [Requirement(text) for text in found[name].requires or ()]
            _tree((item for item in needed if item.marker is None or _holds(item.marker, extras)), found)
    return found


def test_containers_have_a_version_of_every_package() -> None:
    """docker/constraints.txt names each package that rt-seg brings: an image of today is that of next year."""
    lines = (_ROOT / "docker" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines if not line.startswith("#")}
    assert _tree(_declared()).keys() <= pinned


def _holds(marker: Marker, extras: Iterable[str]) -> bool:
    return any(marker.evaluate({"extra": name}) for name in extras)


def _licences(of: Distribution) -> str:
    metadata = of.metadata
    fields = [metadata.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")]
    return " ".join(value[:200] for field in fields for value in field)


def test_no_dependency_is_under_the_agpl() -> None:
    """Nothing that rt-seg brings along has a licence that reaches a network's users."""
    tree = _tree(_declared("train", "test"))
    assert {"av", "numpy", "openvino", "openvino-telemetry", "tensorflow"} <= tree.keys()
    assert [name for name, of in tree.items() if re.search("AGPL|Affero", _licences(of))] == []


def test_one_opencv_only() -> None:
    """OpenCV's distributions overwrite each other's files: the tree holds one."""
    tree = _tree(_declared("train", "test"))
    assert [name for name in tree if name.startswith("opencv")] == ["opencv-python"]


def test_third_party_names_every_dependency() -> None:
    """THIRD_PARTY.md speaks of each package that pyproject.toml names."""
    page = (_ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    declared = {
        requirement.name for requirement in _declared("lint", "plots", "tensorrt", "tensorrt-rtx", "test", "train")
    }
    assert {name for name in declared if not re.search(rf"\b{name}\b", page)} == set()


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("rt_seg", ()),
        ("engines", ("tensorrt",)),
        ("realtime", ()),
        ("benchmarks", ("browser", "plots", "train")),
        ("train", ("train",)),
        ("tests", ("train", "test")),
    ],
)
def test_imports_are_declared(folder: str, extras: tuple[str, ...]) -> None:
    """What a folder imports is a dependency of ours, not one that another package happens to bring."""
    declared = {canonicalize_name(requirement.name) for requirement in _declared(*extras)}
    providers = packages_distributions()
    for path in (path for path in _files(_ROOT / folder) if path.suffix == ".py"):
        for name in set(_imported(path)) - set(sys.stdlib_module_names) - {"rt_seg", "tests"}:
            assert declared & {canonicalize_name(of) for of in providers[name]}, f"{path}: {name}"


@pytest.mark.slow
def test_wheel_from_sdist_is_whole(tmp_path: Path) -> None:
    """The wheel built from the source distribution has every file of the folders, the licences and the model."""
    checkout, unpacked = tmp_path / "checkout", tmp_path / "unpacked"
    copytree(_ROOT, checkout, symlinks=True, ignore=_NOT_OURS)
    build = [sys.executable, "-c", _BUILD]
    subprocess.run([*build, "build_sdist", str(tmp_path)], cwd=checkout, capture_output=True, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    unpack_archive(sdist, unpacked)
    (source,) = unpacked.iterdir()
    subprocess.run([*build, "build_wheel", str(tmp_path)], cwd=source, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    folders = (path for name in _FOLDERS for path in _files(_ROOT / name))
    package = {path.relative_to(_ROOT).as_posix() for path in _files(_ROOT / "rt_seg")}
    assert shipped == package | {f"rt_seg/{path.relative_to(_ROOT).as_posix()}" for path in folders}
    assert "rt_seg/engines/models/polyp.onnx" in shipped
    assert licences == {"LICENSE", "THIRD_PARTY.md"}
