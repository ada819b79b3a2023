"""One service, one fault: what is done, seen and judged."""
