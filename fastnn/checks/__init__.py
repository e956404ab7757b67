"""Every check of what users pass, before any kernel sees it: what, got, needed, remedy."""
