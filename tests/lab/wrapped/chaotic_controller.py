"""The shipped controller, whose messages get lost, doubled, late and garbled."""

from __future__ import annotations

import controller.link
from controller.daemon import main
from tests.lab.wrapped.chaos import spoil

spoil(controller.link.BrokerLink, seed=1)
main()
