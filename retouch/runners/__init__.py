"""What runs an exported artifact. A runner refuses an artifact that is not what its manifest says."""
