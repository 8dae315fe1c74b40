"""What every package may use: errors that carry their reply, session records, settings."""
