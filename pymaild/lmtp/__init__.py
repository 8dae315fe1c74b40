"""LMTP: RFC 2033 with SIZE, 8BITMIME, SMTPUTF8, CHUNKING, PIPELINING and enhanced status codes.

Choices that an administrator may ask about:

- Only CRLF ends a command, and only CRLF "." CRLF ends DATA (RFC 5321 §2.3.8, §4.1.1.4). CR or LF
  alone are octets of the message: nothing can be smuggled past an MTA that sees lines elsewhere.
- A message is stored as it came: NUL, bare CR and lines of any length are kept.
- BINARYMIME is not offered, because mail is stored with the line ends of the host.
"""
