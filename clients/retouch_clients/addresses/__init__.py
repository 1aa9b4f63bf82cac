"""Server addresses: URLs, running servers on this machine, and sockets to listen on."""
