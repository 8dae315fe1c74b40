"""What a protocol sees: accounts, mailboxes, messages, delivery. Knows no socket."""
