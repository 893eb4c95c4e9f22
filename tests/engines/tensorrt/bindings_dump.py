"""Prints what a TensorRT binding offers, as JSON; a program of its own, for each version has to be imported afresh.

Arguments: the module's name, the folder it lies in, and the libraries to load before it.
"""

import ctypes
import importlib
import json
import re
import sys
from typing import Any

# `name(self: tensorrt_bindings.tensorrt.Builder, flags: typing.SupportsInt = 0) -> ...` as pybind11 writes it
_SIGNATURE = re.compile(r"^(?:\d+\. )?(\w+)\((.*)\) -> (.*?)\s*$", flags=re.MULTILINE)


def signatures_of(value: Any) -> list[str]:
    """Each overload as ``(flags) -> INetworkDefinition``: names of the parameters, short name of what is returned."""
    found: list[str] = []
    for _, parameters, returned in _SIGNATURE.findall(value.__doc__ or ""):
        names = re.findall(r"(?:^|, )\*{0,2}(\w+)(?=[:,=)]|$| =)", parameters)
        short = re.sub(r"[\w.]*(?:\.|::)(?=\w)", "", returned)
        found.append(f"({', '.join(name for name in names if name != 'self')}) -> {short}")
    return found


def describe(value: Any) -> list[str]:
    """Signatures of a function or of a class's constructor; of anything else its kind."""
    if isinstance(value, property):
        return ["property" if value.fset is None else "property, writable"]
    if isinstance(value, type):
        return ["class", *signatures_of(vars(value).get("__init__"))]
    return signatures_of(value) or [type(value).__name__]


def main(name: str, folder: str, *libraries: str) -> None:
    """Import the binding over these libraries and print its classes, functions and their members."""
    for library in libraries:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    if folder:
        sys.path.insert(0, folder)
    module = importlib.import_module(name)
    members: dict[str, list[str]] = {}
    for public in (item for item in dir(module) if not item.startswith("_")):
        value = getattr(module, public)
        members[public] = describe(value)
        if isinstance(value, type):
            members |= {f"{public}.{item}": describe(getattr(value, item)) for item in dir(value) if item[0] != "_"}
    sys.stdout.write(json.dumps({"version": module.__version__, "members": members}))


if __name__ == "__main__":
    main(*sys.argv[1:])
