"""`python -m controller.cli`: the same as `saling`."""

from controller.cli.app import main

main()
