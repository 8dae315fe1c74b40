"""Tests of pymaild: each folder defends one part, `support` is what they share."""
