"""A language model is asked, in a room of its own. Zone: worker."""
