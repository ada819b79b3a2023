"""What the records of clients prove."""
