"""GET /api/v1/capacity, and the metrics that say the same."""

from __future__ import annotations

from tests.controller.desk import Desk
from tests.controller.web.test_api import get, served


async def test_each_site_says_what_it_carries_and_what_a_loss_would_bring(turning: Desk) -> None:
    client = await served(turning)
    status, told = await get(client, "/api/v1/capacity")
    await client.close()
    assert status == 200
    batam, jabodetabek = told["sites"]
    assert (batam["site"], batam["declared"], batam["primaries"]) == ("batam", None, ["pajak"])
    assert [one["lost"] for one in batam["after"]] == ["jabodetabek"]
    assert batam["after"][0]["comes"] == jabodetabek["primaries"] == ["paspor"]
    assert batam["after"][0]["held"] == batam["waiting"] == []
