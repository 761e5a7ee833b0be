"""A pickle machine that runs nothing: opcodes, plain values, and stubs for all else. Zone: worker."""
