"""Divides a limit among groups, so that a shortened list shows some of each group and not only the first ones."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def fair_shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Returns how many of each group to take: all of the small ones, the same number of the others, `limit` in all.

    Where there are more groups than `limit`, the groups that get one are spread evenly over all.
    """
    if sum(sizes) <= limit:
        return list(sizes)
    if len(sizes) > limit:
        chosen = {place * len(sizes) // limit for place in range(limit)}
        return [int(number in chosen) for number in range(len(sizes))]
    shares, left = [0] * len(sizes), limit
    for position, number in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[number] = min(sizes[number], left // (len(sizes) - position))
        left -= shares[number]
    return shares


def fairly(groups: Sequence[Sequence[T]], limit: int) -> list[T]:
    """Returns the first members of each group, as many as its share."""
    shares = fair_shares([len(group) for group in groups], limit)
    return [each for group, share in zip(groups, shares, strict=True) for each in group[:share]]
