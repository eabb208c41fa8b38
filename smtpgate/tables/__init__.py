"""Look-up tables as Postfix's source files write them: what a key leads to."""
