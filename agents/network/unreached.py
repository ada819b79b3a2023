"""Why an agent's own port was not reached, in words: aiohttp's own show objects of Python."""

from __future__ import annotations

import os
import ssl

import aiohttp


def why_unreached(error: Exception, limit_s: float) -> str:
    """Of what a request raised: where to, and why not."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        fault = error.certificate_error
        found = fault.verify_message if isinstance(fault, ssl.SSLCertVerificationError) else fault
        return f"the certificate at {error.host}:{error.port} is not trusted ({found})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port} ({_system_words(error.os_error)})"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it answered with status {error.status}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection broke off before an answer came"
    if isinstance(error, TimeoutError):
        return f"no answer in {limit_s:g} s"
    return str(error) or type(error).__name__


def _system_words(error: OSError) -> str:
    """`connection refused`: Python adds numbers and addresses to it."""
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
