"""`python -m rt_seg` is `rt-seg`."""

from rt_seg.cli import run

if __name__ == "__main__":
    run()
