"""What the controller still decides and checks of configuration that a room writes anew.

Zone: controller. Names before, forms after; the tables of what may stand in the files are beside the code
that applies them, in safe_load.worker.rewrite.
"""
