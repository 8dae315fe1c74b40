"""Connections: streams, PROXY protocol, TLS and its relay, the table of protocols."""
