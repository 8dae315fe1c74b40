"""What tests share: server instances, strict clients, Maildir and corpus helpers."""
