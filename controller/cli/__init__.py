"""The operator's command line, `saling`."""

from controller.cli.app import main

__all__ = ["main"]
