"""Cut off and frozen without root: proxies cut the sites from each other, not from the clients."""

from __future__ import annotations

import pytest

from lab.incidents.unkind import primary_cut_off, primary_frozen
from lab.running.four_sites import Lab
from tests.lab.unkindness import assert_backup_streams, incident

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="package"),
]


async def test_a_primary_that_no_site_hears_is_fenced_though_clients_still_reach_it(
    whole: Lab,
) -> None:
    site = await whole.primary_site("paspor")
    told = await incident(whole, primary_cut_off)
    assert told.failed_over
    assert (told.acked_after_thaw, told.two_writers_after_s) == (0, 0)
    await assert_backup_streams(whole, site)


async def test_a_frozen_site_is_taken_over_and_comes_back_as_the_backup(whole: Lab) -> None:
    site = await whole.primary_site("paspor")
    told = await incident(whole, primary_frozen)
    assert told.failed_over
    await assert_backup_streams(whole, site)
