"""The loop that people write, to measure rt-seg against: one thread, OpenCV for video, everything on the full frame.

Run as ``python -m rt_seg.benchmarks.plain_loop CLIP OUTPUT MODEL``; prints frames and seconds of the loop as JSON.
"""

import json
import sys
import time
from typing import Any

import cv2
import numpy as np

from rt_seg.engines.openvino_runtime import openvino


def plain_loop(clip: str, output: str | None, model: str) -> dict[str, float]:
    """Decode, resize, infer, blend and write each frame in turn, with every library's defaults.

    Args:
        clip: Video to read.
        output: MP4 to write as ``mp4v``, or None.
        model: ONNX by rt-seg's contract.

    Returns:
        ``frames``, ``seconds`` of the loop without start-up, and ``cpu_seconds`` of the process in it.
    """
    compiled: Any = openvino.compile_model(model, "CPU")
    capture = cv2.VideoCapture(clip)
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    writer = cv2.VideoWriter(output, cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height)) if output else None
    frames, start, cpu = 0, time.perf_counter(), time.process_time()
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        probability = np.asarray(compiled(cv2.resize(frame, (256, 256))[None])[0][0], np.uint8)
        colour = np.zeros_like(frame)
        colour[np.asarray(cv2.resize(probability, (width, height))) >= 128] = (0, 255, 0)
        blended = cv2.addWeighted(frame, 1.0, colour, 0.4, 0)
        if writer is not None:
            writer.write(blended)
        frames += 1
    if writer is not None:
        writer.release()
    capture.release()
    return {"frames": frames, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


if __name__ == "__main__":
    clip, output, model = sys.argv[1:4]
    sys.stdout.write(json.dumps(plain_loop(clip, output if output != "-" else None, model)) + "\n")
