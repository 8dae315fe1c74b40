"""An IMAP, POP3 and LMTP server over Maildir for Unix hosts."""

__version__ = "0.1.0"
