"""The first process of each kind of room."""
