"""Tools of those who build pymaild; nothing of it is installed."""
