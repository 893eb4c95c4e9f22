"""Every TensorRT name that rt-seg uses exists, with the signature it is used with, in the real bindings.

The bindings of TensorRT 10 and 11 are the real ones over stand-in libraries: names and signatures are proven, what the
calls do is not.
"""

import pytest

from .conftest import Binding

pytestmark = pytest.mark.slow

# name -> a signature, as `Binding.members` spells it
BUILDING = {
    "Builder": "(logger) -> None",
}
RUNNING: dict[str, str] = {}


@pytest.mark.parametrize(("name", "signature"), sorted({**BUILDING, **RUNNING}.items()))
def test_name_exists_with_its_signature(binding: Binding, name: str, signature: str) -> None:
    """The binding has the name, and one of its overloads takes and returns what the code relies on."""
    assert signature in binding.members.get(name, [])
