"""The description of the HTTP interface (OpenAPI 3.1)."""

from importlib.metadata import version
from typing import Any

Schema = dict[str, Any]

_NUMBER, _TEXT, _FLAG = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_MAYBE_NUMBER = {"type": ["number", "null"]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_DELAY = _object(last=_MAYBE_NUMBER, p50=_MAYBE_NUMBER, p99=_MAYBE_NUMBER) | {
    "description": "Milliseconds; null while there are too few samples."
}
_STATES = ["live", "stale", "no_signal", "frozen", "black", "unassessable", "unavailable", "paused", "ended"]
_SCHEMAS: Schema = {
    "Controls": _object(
        overlay={"type": "string", "enum": ["contour", "fill", "heatmap", "none"]},
        alpha={"type": "number", "minimum": 0, "maximum": 1},
        threshold={"type": "number", "minimum": 0, "maximum": 1},
        stabilise={"type": "string", "enum": ["off", "light", "strong"]},
        min_frames={"type": "string", "pattern": "^[0-9]+/[0-9]+$"},
        hud=_FLAG,
        recording=_FLAG,
        paused=_FLAG,
    ),
    "State": _object(
        time=_NUMBER | {"description": "Stream time in seconds."},
        state={"type": "string", "enum": _STATES},
        message=_TEXT,
        fps=_MAYBE_NUMBER,
        video_delay_ms=_DELAY,
        annotation_delay_ms=_DELAY,
        browser_delay_ms=_DELAY,
        frames=_object(**{"in": _COUNT, "out": _COUNT}),
        dropped={"type": "object", "additionalProperties": _COUNT, "description": "Frames lost, by cause."},
        polyps={"type": ["integer", "null"], "description": "In the mask that is shown; null where there is none."},
        recording=_FLAG,
        clients=_COUNT,
        controls={"$ref": "#/components/schemas/Controls"},
    )
    | {"required": ["time", "state", "message", "polyps", "clients", "browser_delay_ms", "controls"]},
    "Sighting": _object(
        id={"type": "integer", "minimum": 1},
        first_seconds=_NUMBER,
        last_seconds=_NUMBER,
        ended=_FLAG,
        frames=_COUNT,
        area_fraction=_NUMBER | {"description": "Largest share (0-1) of the frame."},
        confidence=_NUMBER | {"description": "Highest mean probability (0-1)."},
        snapshot={"type": ["string", "null"], "description": "Path of its best picture."},
    ),
}
_SCHEMAS["Sighting"]["required"] = list(_SCHEMAS["Sighting"]["properties"])


def _get(summary: str, media_type: str, schema: Schema, **more: Any) -> Schema:
    """A path that is read."""
    responses: Schema = {"200": {"description": summary, "content": {media_type: {"schema": schema}}}}
    for status, text in more.pop("errors", {}).items():
        responses[status] = {"description": text, "content": {"text/plain": {"schema": _TEXT}}}
    return {"get": {"summary": summary, "responses": responses, **more}}


def openapi() -> Schema:
    """The whole document."""
    binary = {"type": "string", "format": "binary"}
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
    overlay = {"name": "overlay", "in": "query", "schema": {"type": "integer", "enum": [0, 1], "default": 1}}
    sightings = _object(sightings={"type": "array", "items": {"$ref": "#/components/schemas/Sighting"}})
    paths = {
        "/api/state": _get("How the stream stands", "application/json", {"$ref": "#/components/schemas/State"}),
        "/api/sightings": _get("The sightings so far", "application/json", sightings),
        "/api/sightings/{id}.jpg": _get(
            "The best picture of a sighting, with or without overlay",
            "image/jpeg",
            binary,
            parameters=[number, overlay],
            errors={"404": "There is none, or none any more"},
        ),
        "/recordings/{id}.mp4": _get(
            "A part of the recording, in whole or in ranges",
            "video/mp4",
            binary,
            parameters=[number],
            errors={"206": "A range of it", "404": "There is none, or none yet", "416": "It is not that long"},
        ),
        "/video.mjpg": _get(
            "The pictures as MJPEG", "multipart/x-mixed-replace", binary, errors={"503": "Too many look already"}
        ),
        "/metrics": _get("Figures for Prometheus", "text/plain", _TEXT),
        "/healthz": _get("Whether the server answers", "text/plain", _TEXT, security=[]),
        "/readyz": _get(
            "Whether pictures come and are segmented", "text/plain", _TEXT, security=[], errors={"503": "They are not"}
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rt-seg live view",
            "version": version("rt-seg"),
            "description": "Research use only. Live messages go through the WebSocket at /ws.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}, {}],
    }
