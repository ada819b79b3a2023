"""A server's log on a disk that hangs costs the agent one thread, however often it is counted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import cast

import pytest

from agents.engines.pg_session import Session
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_waits import LogCount, WaitWatch


async def test_no_second_reader_is_begun_while_one_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released = list[int](), threading.Event()

    def hangs(_count: LogCount, _log: Path | None) -> None:
        begun.append(threading.get_ident())
        released.wait(60)

    monkeypatch.setattr(LogCount, "read", hangs)
    config = PostgresConfig(
        service="paspor", data=tmp_path / "data", run=tmp_path, binaries=tmp_path,
        listen="127.0.0.1:1", password_file=tmp_path / "password",
    )  # fmt: skip
    watch = WaitWatch(config, cast(Session, None))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await watch.cancelled()
    released.set()
    assert await watch.cancelled() == 0
    assert len(begun) <= 2
