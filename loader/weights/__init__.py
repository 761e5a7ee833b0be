"""What was changed in a model's weights, against the model that it claims to come from. Zone: controller."""
