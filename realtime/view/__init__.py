"""The live view: a stream in any browser, its figures for Prometheus, and what may be changed while it runs.

```
pipeline ──Rendered──▶ PictureFeed ──Picture (JPEG, once for all)──▶ Viewer, one a client (WebSocket), or MJPEG
         ──Tracking──▶ SightingBook ──sightings, snapshots─────────▶ Broadcaster ──JSON──▶ every Viewer
Controls ◀──────────── what a client sets, checked ◀──────────────── Viewer
```

The pipeline hands over references and goes on: pictures are encoded on a thread of the view's own, and only when
somebody waits for one. Everything that talks to clients runs on one event loop, on another thread.
"""
