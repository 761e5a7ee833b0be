"""What a model folder holds beside its weights, read with bounds and written anew from allowlists.

Zone: worker, in a room of its own (`main`). Standard library, and jinja2's parser where there is a template.
"""
