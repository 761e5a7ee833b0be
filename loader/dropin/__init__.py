"""Other libraries' own calls, which read nothing but cleared folders.

Zone: the caller's process.
"""
