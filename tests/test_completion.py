"""Shell completion, in the shells themselves: what a person gets who presses the tabulator."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_SHELLS = {"bash": ("bash", "--norc", "-c"), "zsh": ("zsh", "-f", "-c"), "fish": ("fish", "--no-config", "-c")}
_LOAD = {
    "bash": 'eval "$(rt-seg --show-completion)"',
    # zsh completes only at a terminal: what would be offered there is printed instead
    "zsh": 'compdef() { }; _arguments() { print -r -- "$@" }; _files() { print FILES }; '
    'eval "$(rt-seg --show-completion)"',
    "fish": "rt-seg --show-completion | source",
}
_ASK = {
    "bash": "COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
    '_rt_seg_completion rt-seg; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "words=({words}); CURRENT=${{#words}}; _rt_seg_completion",
    "fish": 'complete --do-complete "{words}"',
}
_INSTALLED = {
    "bash": ".bash_completions/rt-seg.sh",
    "zsh": ".zfunc/_rt-seg",
    "fish": ".config/fish/completions/rt-seg.fish",
}


def _run(shell: str, script: str, folder: Path) -> str:
    """What a shell prints that finds `rt-seg` on its path, in an empty home."""
    if shutil.which(shell) is None:
        if os.environ.get("RT_SEG_REQUIRE_SHELLS") == "1":
            pytest.fail(f"{shell} is not installed")
        pytest.skip(f"{shell} is not installed")
    program, home = folder / "bin" / "rt-seg", folder / "home"
    home.mkdir()
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rt_seg "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(home)}
    ended = subprocess.run(
        [*_SHELLS[shell], script], cwd=home, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout


_ASKED = {
    "rt-seg st": "stream",
    "rt-seg stream --max": "--max-staleness",
    "rt-seg stream --engine c": "cpu",
    "rt-seg train --recipe k": "kvasir-unet",
}


def _question(shell: str, typed: str) -> str:
    words = typed if shell == "fish" else " ".join(f"'{word}'" for word in typed.split(" "))
    return f"{_ASK[shell].format(words=words)}; echo +++"


@pytest.mark.parametrize("shell", list(_SHELLS))
def test_commands_options_and_values_are_completed(shell: str, tmp_path: Path) -> None:
    """Each shell offers commands, options and the values an option takes; for a file, it is left to offer its own."""
    asked = [_question(shell, typed) for typed in (*_ASKED, "rt-seg stream --output ")]
    answers = _run(shell, "; ".join(["touch here.mp4", _LOAD[shell], *asked]), tmp_path).split("+++\n")
    for answer, offered in zip(answers, _ASKED.values(), strict=False):
        if shell == "zsh":
            assert f'"{offered}"' in answer
        else:
            assert [line.partition("\t")[0] for line in answer.splitlines()] == [offered]
    assert answers[len(_ASKED)].strip() == {"bash": "", "zsh": "FILES", "fish": "here.mp4"}[shell]


@pytest.mark.parametrize("shell", list(_SHELLS))
def test_completion_is_installed_for_the_shell_that_asks(shell: str, tmp_path: Path) -> None:
    """`rt-seg --install-completion` finds out in which shell it was typed, and writes where that shell looks."""
    _run(shell, "rt-seg --install-completion; true", tmp_path)
    assert "RT_SEG_COMPLETE" in (tmp_path / "home" / _INSTALLED[shell]).read_text(encoding="utf-8")
