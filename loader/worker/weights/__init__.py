"""The comparison of two models' tensors: streamed, and told as bounded numbers. Zone: worker."""
