"""The auth role: users, passwords, exchanges, and the running process."""
