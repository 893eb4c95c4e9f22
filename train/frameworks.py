"""Keras and TensorFlow, imported in one place and typed as Any: their own annotations are too partial to check by."""

import importlib
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no advice on rebuilding TensorFlow, no search for GPUs in the log
os.environ["KERAS_BACKEND"] = "tensorflow"

tf: Any = importlib.import_module("tensorflow")
keras: Any = importlib.import_module("keras")
layers: Any = keras.layers
ops: Any = keras.ops
