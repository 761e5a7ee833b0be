"""From what was seen and read to findings. Zone: controller."""
