"""The commands of `retouch`, one a file; what they do beyond their options is in files of its
own."""
