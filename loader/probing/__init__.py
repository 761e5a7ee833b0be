"""A cleared language model is asked for triggers, in a room. Zone: controller."""
