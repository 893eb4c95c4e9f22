"""The loop that people write, to measure rt-seg against: one thread, OpenCV for video, everything on the full frame.

Run as ``python -m rt_seg.benchmarks.plain_loop CLIP OUTPUT MODEL``; prints what it measured of itself as JSON.
"""

import json
import sys
import time
from typing import Any

import cv2
import numpy as np

from rt_seg.engines.openvino_runtime import openvino
from rt_seg.errors import SourceError

from .harness.machine import peak_mib

STEPS = ("decode", "resize", "infer", "blend", "encode")


def plain_loop(clip: str, output: str | None, model: str, limit: int | None = None) -> dict[str, Any]:
    """Decode, resize, infer, blend and write each frame in turn, with every library's defaults.

    Args:
        clip: Video to read.
        output: MP4 to write as ``mp4v``, or None.
        model: ONNX by rt-seg's contract.
        limit: Frames at most; None: all.

    Returns:
        ``frames``, ``seconds`` of the loop and of closing the file, ``cpu_seconds`` of the process in them,
        ``step_seconds`` of each of `STEPS` and ``peak_mib`` of memory.

    Raises:
        SourceError: There is no frame in it that OpenCV can read.
    """
    compiled: Any = openvino.compile_model(model, "CPU")
    size = (int(compiled.input(0).partial_shape[2].get_length()), int(compiled.input(0).partial_shape[1].get_length()))
    capture = cv2.VideoCapture(clip)
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    writer = cv2.VideoWriter(output, cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height)) if output else None
    steps = dict.fromkeys(STEPS, 0.0)
    frames, start, cpu = 0, time.perf_counter(), time.process_time()
    while limit is None or frames < limit:
        stamps = [time.perf_counter()]
        ok, frame = capture.read()
        if not ok:
            break
        stamps.append(time.perf_counter())
        resized = cv2.resize(frame, size)
        stamps.append(time.perf_counter())
        probability = np.asarray(compiled(resized[None])[0][0], np.uint8)
        stamps.append(time.perf_counter())
        colour = np.zeros_like(frame)
        colour[np.asarray(cv2.resize(probability, (width, height))) >= 128] = (0, 255, 0)
        blended = cv2.addWeighted(frame, 1.0, colour, 0.4, 0)
        stamps.append(time.perf_counter())
        if writer is not None:
            writer.write(blended)
        stamps.append(time.perf_counter())
        for step, began, ended in zip(STEPS, stamps[:-1], stamps[1:], strict=True):
            steps[step] += ended - began
        frames += 1
    if writer is not None:
        writer.release()
    capture.release()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    if frames == 0:
        raise SourceError(f"{clip}: OpenCV reads no frame of it, so there is no plain loop to compare with")
    return {
        "frames": frames, "seconds": seconds, "cpu_seconds": cpu_seconds, "step_seconds": steps, "peak_mib": peak_mib(),
    }  # fmt: skip


if __name__ == "__main__":
    clip, output, model = sys.argv[1:4]
    sys.stdout.write(json.dumps(plain_loop(clip, output if output != "-" else None, model)) + "\n")
