"""Disks and engines that are full, slow or stuck."""
