"""The BLAS on one thread, for as long as refinement computes."""

from threadpoolctl import threadpool_limits

# After each use a BLAS's own threads wait for more work, and keep ours from theirs.
one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")
