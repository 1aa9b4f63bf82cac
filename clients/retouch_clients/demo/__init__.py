"""`retouch demo`: one edit on a server of its own."""
