"""What an administrator calls: `pymaild`, `pymailctl`, and documents made from declarations."""
