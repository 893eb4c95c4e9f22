"""rt-seg: real-time polyp segmentation for colonoscopy video."""
