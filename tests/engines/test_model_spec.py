"""ModelSpec: what is written is read back, and nothing else is taken."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.engines import ModelSpec
from rt_seg.errors import ModelError

SPEC = ModelSpec("polyp", 256, 256, quality={"mdice": 0.9}, training_data="stills")


def changed(**values: Any) -> str:
    """The JSON of SPEC with other values."""
    return json.dumps({**json.loads(SPEC.to_json()), **values})


def test_json_round_trip() -> None:
    """A spec comes back equal from its JSON."""
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


@pytest.mark.parametrize(
    "values",
    [
        {"schema_version": 2},
        {"width": 0},
        {"height": -4},
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"resize": "letterbox"},
        {"interpolation": "cubic"},
        {"precision": "fp4"},
        {"width": "256"},
        {"width": 256.0},
        {"threshold": None},
        {"name": 7},
        {"quality": ["mdice"]},
        {"quality": {"mdice": "high"}},
        {"class_names": [1]},
        {"class_names": None},
        {"unheard_of": 1},
    ],
)
def test_refuses_values_outside_the_contract(values: dict[str, Any]) -> None:
    """Another version, a wrong type, a wrong value or an unknown key is refused with the file's name in one line."""
    with pytest.raises(ModelError, match=r"^a\.onnx: ") as caught:
        ModelSpec.from_json(changed(**values), "a.onnx")
    assert "\n" not in str(caught.value)


def test_another_schema_version_is_named_whatever_else_it_brings() -> None:
    """A spec of a later version is refused for its version, not for its new keys."""
    with pytest.raises(ModelError, match="schema version 2"):
        ModelSpec.from_json(changed(schema_version=2, new_key=1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(text=st.text() | JSON.map(json.dumps))
def test_any_text_is_refused_cleanly(text: str) -> None:
    """No text ends in anything but a ModelError."""
    with pytest.raises(ModelError):
        ModelSpec.from_json(text)


@given(name=st.sampled_from(sorted(json.loads(SPEC.to_json()))), value=JSON)
def test_any_value_in_any_field_is_taken_or_refused_cleanly(name: str, value: Any) -> None:
    """Whatever one field holds, the spec is read or a ModelError says why not."""
    try:
        spec = ModelSpec.from_json(changed(**{name: value}))
    except ModelError:
        return
    assert ModelSpec.from_json(spec.to_json()).name == spec.name
