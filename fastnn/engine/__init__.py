"""The training loop as Python sees it: orders of work, what drives them, what is recorded."""
