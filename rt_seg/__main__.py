"""`rt-seg` as a program, and `python -m rt_seg`, which is the same."""

import signal

from rt_seg.standard_streams import guard_output, open_closed_streams


def main() -> None:
    """Run the command line. Ctrl-C while it is being loaded ends the process at once, without a traceback."""
    open_closed_streams()  # first of all: what is imported may open files
    guard_output()
    python_s_own = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not ignored, as by nohup
    if python_s_own:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rt_seg.cli import run

    if python_s_own:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
