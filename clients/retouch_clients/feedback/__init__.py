"""Feedback of users on answers: where it is kept, how it is taken, and what it says of scores."""
