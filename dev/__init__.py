"""Generators of tables and of the report's schema. Not shipped, and not shown in rooms."""
