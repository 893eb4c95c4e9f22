"""Where pictures and results go: H.264 video, JSON lines, PNG masks, a window."""
