"""From tensors of any format to a safetensors file. Zone: worker."""
