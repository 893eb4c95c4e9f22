"""What is said of the machine, and of what else it does."""

from rt_seg.benchmarks.harness.machine import LoadWatch, available_mib, describe_machine, look_before, warn
from rt_seg.benchmarks.harness.results import Background


def test_machine_is_described_without_naming_it() -> None:
    """Processor and system are in the report, host and user are not; the load is a share of all cores."""
    machine = describe_machine()
    assert machine["usable_cores"] >= 1
    assert not {"hostname", "node", "user"} & machine.keys()
    watch = LoadWatch()
    while (seen := watch.read()).others_share is None:
        pass  # the clock has not moved on yet
    assert seen.others_share >= 0


def test_what_others_take_is_said_from_a_twentieth_on() -> None:
    """Below it, and where nothing is known, nothing is said; a look at the machine says no more than that."""
    assert warn(Background(0.04, 0.0), "then") == ()
    assert warn(Background(None, None), "then") == ()
    assert warn(Background(0.5, 0.06), "then") == (
        "other programs took 50 % of all cores then",
        "the host gave 6 % of the cores' time to others then",
    )
    assert all("before" in line for line in look_before(0.01))


def test_free_memory_is_less_than_all_there_is() -> None:
    """It is what the kernel says programs could still be given."""
    free = available_mib()
    assert free is None or 0 < free < describe_machine()["memory_mib"]
