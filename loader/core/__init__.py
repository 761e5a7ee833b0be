"""What every other folder may use: errors, options, the report, and small tools for text and files.

Zone: controller. Imports nothing else of safe-load.
"""
