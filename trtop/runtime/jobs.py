"""How many cores a run counts on."""

from __future__ import annotations

from trtop.options.report_options import Options
from trtop.runtime.environment import Environment, is_live
from trtop_core.sources import bytes_of

MIN_BYTES_SHARED = 16 << 20
"""A capture of fewer bytes is counted sooner than threads are worth."""


def n_jobs_of(options: Options, env: Environment) -> int:
    """Cores that read and count: one for what arrives as time goes by, and for what is small."""
    if is_live(options):
        return 1
    n_jobs = options.n_jobs or env.n_cores()
    if n_jobs > 1 and (bytes_of(options.inputs) or 0) < MIN_BYTES_SHARED:
        return 1
    return n_jobs
