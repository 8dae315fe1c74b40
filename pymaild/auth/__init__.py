"""Credentials and users: the role that alone reads secrets, and the client that asks it."""
