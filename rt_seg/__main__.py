"""`rt-seg` as a program, and `python -m rt_seg`, which is the same."""

from rt_seg.realtime.signals import ctrl_c_at_once


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded shows no traceback."""
    with ctrl_c_at_once():
        from rt_seg.cli import app
    app(prog_name="rt-seg")


if __name__ == "__main__":
    main()
