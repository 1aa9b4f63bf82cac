"""The version of this package, as answers and commands report it."""

VERSION = "0.2.0"
