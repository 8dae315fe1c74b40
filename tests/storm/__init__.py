"""Many sessions, lost processes and lost files: what was accepted stays, numbers stay right."""
