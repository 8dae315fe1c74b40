"""Messages as MIME sees them: structure, envelope, header fields, text for searching.

Everything here works on octets already read or mapped, in LF or CRLF form. Nothing raises on
any message, and time and memory are linear in its size.
"""

from pymaild.mime._scan import Part, scan

__all__ = ["Part", "scan"]
