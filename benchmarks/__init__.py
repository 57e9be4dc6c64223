"""The benchmark: the pipeline and what people would use instead, on the same work and machine.

    work ──► server ──► pipeline and peers in turn ──► medians and ratios ──► tables

`python -m benchmarks` makes seeded work with the simulator's district, serves it from a process
of its own, runs the pipeline by its command line and each peer in a process of its own, and
prints what they cost. It knows nothing of the pipeline's inside, so that it measures whatever the
pipeline becomes. Linux only: it reads `/proc`.
"""
