"""Images and masks -> Keras model -> deployable ONNX. Never imports realtime."""
