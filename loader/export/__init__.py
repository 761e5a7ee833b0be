"""A cleared copy: staged, checked, written, verified. Zone: controller."""
