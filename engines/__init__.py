"""A model as something that runs: the contract, resize and geometry, mask metrics, backends. Knows nothing of video or Keras."""
