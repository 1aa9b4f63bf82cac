"""`retouch batch`: many edits on a server, with a journal by which a stopped batch goes on."""
