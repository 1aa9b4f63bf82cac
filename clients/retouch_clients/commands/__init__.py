"""The commands of `retouch`, one file each: options here, the work in the other folders."""
