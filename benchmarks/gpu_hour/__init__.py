"""All that a GPU can tell in an hour, or in a budget of minutes, in one command: `make gpu`."""
