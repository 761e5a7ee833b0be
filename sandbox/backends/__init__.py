"""Ways to build a room. `interface` says what a backend is; `native` needs no daemon and no root.

Zone: controller.
"""
