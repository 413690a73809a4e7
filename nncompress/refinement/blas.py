"""Restricting BLAS to one thread while refinement computes."""

from nncompress.missing import brought_by

with brought_by("compress"):
    from threadpoolctl import threadpool_limits

# After each use, the threads of BLAS wait for more work and take the cores from ours.
one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")
