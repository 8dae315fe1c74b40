"""Mail on disk: Maildir, atomic file steps, locks, folders of other servers."""
