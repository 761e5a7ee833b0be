"""What a model folder holds beside its weights, read with bounds and written anew from allowlists.

Zone: controller.
"""
