"""Raises the limit of files and connections that this process may have open."""

import resource


def raise_file_limit(wanted: int) -> int:
    """Raises the soft limit (`ulimit -n`) to `wanted` as far as the hard one allows. Returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if possible > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        except (OSError, ValueError):  # some systems have a lower bound of their own
            return soft
    return max(soft, possible)
