"""Requirements of the RFCs: which sentence binds the server, and which test proves it.

`python -m tools.rfc COMMAND`, in the source's top folder:

list NUMBER [SECTION]           the sentences of an RFC with their numbers and what proves them
register NUMBER...              make or refresh tests/rfc/NUMBER.toml from the text
reason NUMBER SECTION N[,N] WHY say why sentences are not applicable ("" takes the reason back)
report [--check]                the table: RFC, sentences, bound, proven, not applicable, open
open NUMBER...                  the sentences that nothing proves yet
check                           fail when a marker points nowhere
docs [--check]                  write docs/rfc.md, the public table (or only compare)

The texts are read from the folder named by --texts or $PYMAILD_RFC (several: separated by ":");
`register` needs them, the others use them where they are. No text of an RFC is in this source:
a register holds for each sentence its section, its number there and a hash of its words, and
what people know about it: a `reason` when it binds no server or cannot be tested, such as
"client", or words of our own about it.

A test proves sentences 1 and 3 of a section with `@rfc("7162", "3.1.2", 1, 3)`
(tests/support/rfc.py), a transcript with a line `proves 7162 3.1.2 1 3`. Both are found by
reading the sources, not by running them.
"""
