"""What the benchmark runs, and its tables."""
