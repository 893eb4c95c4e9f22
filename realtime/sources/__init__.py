"""Where frames come from: video files, images, cameras, network streams."""
