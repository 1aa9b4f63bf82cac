"""Image files: their formats, colours and transparency."""
