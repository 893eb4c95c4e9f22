"""`python -m rt_seg` is `rt-seg`."""

from rt_seg.cli import app

if __name__ == "__main__":
    app(prog_name="rt-seg")
