"""`retouch batch`: many edits on a server, with a journal to resume a stopped batch."""
