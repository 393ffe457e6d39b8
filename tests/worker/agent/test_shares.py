"""Tests how a limit is shared out over groups."""

from hypothesis import given
from hypothesis import strategies as st

from worker.agent.shares import fair_shares, fairly


@given(st.lists(st.integers(1, 1000), max_size=50), st.integers(1, 200))
def test_a_limit_is_used_up_and_no_group_gets_less_than_a_smaller_share_of_another(
    sizes: list[int], limit: int
) -> None:
    shares = fair_shares(sizes, limit)
    assert sum(shares) == min(limit, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    cut = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    if cut and len(sizes) <= limit:
        assert max(shares) - min(cut) <= 1 or min(cut) >= max(
            share for share, size in zip(shares, sizes, strict=True) if share == size
        )


def test_with_more_groups_than_the_limit_the_chosen_ones_are_spread_evenly() -> None:
    chosen = fairly([[n] for n in range(100)], 4)
    assert chosen == [0, 25, 50, 75]


def test_small_groups_are_shown_whole() -> None:
    assert fair_shares([1, 100, 2, 100], 23) == [1, 10, 2, 10]
