"""Benchmarks: the tokenizer alone, and the running server beside Debian's Dovecot."""
