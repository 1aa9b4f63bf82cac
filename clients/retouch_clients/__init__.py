"""What people hold in their hands: the command line `retouch` and its demo."""
