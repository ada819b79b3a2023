"""The lab as it runs, and what is asked of it."""
