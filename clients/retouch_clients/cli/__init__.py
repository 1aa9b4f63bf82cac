"""What the commands share: options, output files, the terminal and exit codes."""
