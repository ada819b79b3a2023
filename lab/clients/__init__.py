"""Programs beside the lab: who writes, asks, loads and measures."""
