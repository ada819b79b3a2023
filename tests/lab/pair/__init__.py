"""Tests of one service in two sites, all in one lab: see `conftest`."""
