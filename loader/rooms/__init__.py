"""The rooms of one load: their jobs, and what comes back, typed and bounded. Zone: controller."""
