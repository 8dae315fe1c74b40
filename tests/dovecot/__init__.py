"""pymaild beside Debian's Dovecot: the same mail, the same answers, and moving both ways."""
