"""Fresh processes: a side of a comparison runs where no other has left threads, caches or memory behind.

Run as ``python -m rt_seg.benchmarks.harness.process MODULE:FUNCTION`` it calls that function of rt-seg with
the keywords that JSON on standard input names, and writes what it returns as JSON to standard output.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, cast

from rt_seg import errors
from rt_seg.errors import EngineError, RtSegError


class Child:
    """A call that runs in a process of its own; a context manager that leaves no process behind.

    Args:
        target: ``module:function`` of rt-seg.
        arguments: Its keywords, as JSON values.

    Attributes:
        pid: Of the process.
    """

    def __init__(self, target: str, **arguments: Any) -> None:
        self._target = target
        command = [sys.executable, "-m", __name__, target]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._arguments = json.dumps(arguments)
        self.pid = self._process.pid
        # it may start before its answer is asked for, so that several run at once
        with suppress(BrokenPipeError):
            cast("Any", self._process.stdin).write(self._arguments + "\n")
            cast("Any", self._process.stdin).flush()

    def result(self) -> dict[str, Any]:
        """Wait for the end.

        Raises:
            RtSegError: What the function raised, as the same class; or `EngineError` where the process broke down.
        """
        output, complaints = self._process.communicate()
        try:
            answer: dict[str, Any] = json.loads(output)
        except json.JSONDecodeError:
            last = (complaints.strip().splitlines() or ["it said nothing"])[-1]
            raise EngineError(f"{self._target} {_ending(self._process.returncode)}: {last}") from None
        if "error" in answer:
            raise _error_class(answer["error"])(answer["message"])
        return cast("dict[str, Any]", answer["result"])

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


def call_fresh(target: str, **arguments: Any) -> dict[str, Any]:
    """Call a function in a process of its own and wait for its answer; see `Child`."""
    with Child(target, **arguments) as child:
        return child.result()


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with {returncode}"
    name = signal.Signals(-returncode).name
    return f"was ended by {name}{', as when memory runs out' if -returncode == signal.SIGKILL else ''}"


def _error_class(name: str) -> type[RtSegError]:
    found = getattr(errors, name, RtSegError)
    return found if isinstance(found, type) and issubclass(found, RtSegError) else RtSegError


def _serve(target: str) -> None:
    # what libraries print goes to standard error: standard output is for the answer alone
    answer_to = os.dup(1)
    os.dup2(2, 1)
    arguments = json.loads(sys.stdin.readline())
    module, _, function = target.partition(":")
    try:
        answer: dict[str, Any] = {"result": getattr(import_module(module), function)(**arguments)}
    except RtSegError as exc:
        answer = {"error": type(exc).__name__, "message": str(exc)}
    with os.fdopen(answer_to, "w", encoding="utf-8") as output:
        json.dump(answer, output)
        output.write("\n")
    sys.stderr.flush()
    os._exit(0)  # all is closed and said; the libraries' way out takes a while, and a benchmark has dozens of these


if __name__ == "__main__":
    _serve(sys.argv[1])
