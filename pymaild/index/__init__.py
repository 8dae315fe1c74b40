"""The snapshot index of a mailbox: records, log and cache in mmap."""
