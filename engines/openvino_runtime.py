"""OpenVINO's runtime without its conversion tools, whose import tells Google Analytics that it happened.

``import openvino`` also imports ``openvino.tools.ovc``. Unless the user has opted out or the variable CI is "true",
that writes an identifier to ``~/intel``, forks a process and sends an event. rt-seg converts nothing, and a machine in
a hospital has no business calling out. OpenVINO takes the tools as optional, so they are hidden while it is imported:
nothing is written, nothing is sent, and the import takes half the time. A program that wants the tools as well imports
``openvino.tools.ovc`` itself.
"""

import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["openvino"]

_TOOLS = "openvino.tools.ovc"
_modules = cast("dict[str, ModuleType | None]", sys.modules)
_hide = _TOOLS not in _modules

if _hide:
    _modules[_TOOLS] = None  # Python's own way to say that a module is not there
try:
    import openvino
finally:
    if _hide:
        del _modules[_TOOLS]
