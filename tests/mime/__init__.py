"""Tests of the mime package."""
