"""TLS between engines: believed by certificate only, and never in the clear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_settings import UpstreamTls
from tests.contracts.conftest import MakeSite, Site, ignore

pytestmark = pytest.mark.postgres


async def openssl(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "openssl", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def authority(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, for 127.0.0.1, and its key."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    await openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    key.chmod(0o600)
    return certificate, key


async def with_tls(site: Site, certificate: Path, key: Path, believed: Path) -> None:
    site.config = replace(
        site.config,
        settings={
            "ssl": "on",
            "ssl_cert_file": str(certificate),
            "ssl_key_file": str(key),
            "ssl_ca_file": str(certificate),
        },
        tls=UpstreamTls(authority=believed, certificate=certificate, key=key),
    )
    await site.restart_agent()


async def test_a_copy_is_made_and_follows_over_tls_from_whom_it_believes(
    make_site: MakeSite, template: Path, directory: Path
) -> None:
    certificate, key = await authority(directory, "engine")
    other, _ = await authority(directory, "other")
    primary, backup = make_site("a"), make_site("b")
    await with_tls(primary, certificate, key, certificate)
    try:
        identifier = await primary.start_as_primary(template)
    except EngineError as error:
        if "SSL is not supported" in str(error):
            pytest.skip("this build of PostgreSQL has no TLS")
        raise
    await primary.engine.ensure_slot("saling_b")
    upstream = primary.upstream("b", identifier)
    await with_tls(backup, certificate, key, other)
    with pytest.raises((EngineBusy, EngineError), match=r"(?i)certificate"):
        await backup.engine.seed(upstream, ignore)
    await with_tls(backup, certificate, key, certificate)
    await backup.engine.seed(upstream, ignore)
    await backup.engine.start_standby(upstream)
    await backup.observed(streaming=True)
    seen = "SELECT bool_and(ssl AND client_dn IS NOT NULL) FROM pg_stat_ssl"
    seen += " JOIN pg_stat_replication USING (pid)"
    assert await primary.sql(seen) is True
    assert await backup.engine.unfit(upstream) == ()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="reject"):
        await asyncpg.connect(
            host="127.0.0.1",
            port=primary.config.port,
            user="saling_rewind",
            database="postgres",
            password=primary.config.password_file.read_text().rstrip("\n"),
            ssl=False,
        )
