"""IMAP4rev1 (RFC 3501, with what RFC 9051 makes clearer): states, commands, replies."""
