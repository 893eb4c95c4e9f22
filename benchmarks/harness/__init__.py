"""What the parts of `rt-seg benchmark` share: the method, the machine, the results, and how they are shown.

A part is a script in `benchmarks/` with a function ``measure(settings, progress) -> PartResult``; `parts` lists them.
"""
