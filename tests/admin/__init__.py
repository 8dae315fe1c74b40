"""The command lines, and the documents made from the declarations."""
