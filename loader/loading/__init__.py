"""The path of one load. Zone: controller."""
