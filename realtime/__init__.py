"""Video or images in, overlay out: capture -> preprocess -> infer -> overlay. Never imports train."""
