"""Where models come from: a file, a folder, a cache, a hub. Zone: controller."""
