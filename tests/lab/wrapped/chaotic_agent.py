"""The shipped agent, whose messages to the brokers get lost, doubled, late and garbled."""

from __future__ import annotations

import agents.network.link
from agents.daemon import main
from tests.lab.wrapped.chaos import spoil

spoil(agents.network.link.BrokerLink, seed=2)
main()
