"""`retouch demo`: example edits on a server of its own."""
