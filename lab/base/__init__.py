"""What everything of the lab rests on: its plan and files, its processes, its records."""
