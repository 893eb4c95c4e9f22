"""`quiet_opencv`: what goes wrong inside OpenCV is said once, by us."""

from collections.abc import Generator
from contextlib import contextmanager

import cv2


@contextmanager
def quiet_opencv() -> Generator[None]:
    """OpenCV's own messages on stderr off; the level is the whole process's, and put back."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
