"""Cleared copies that are kept, so that no model is opened twice.

Zone: controller.
"""
