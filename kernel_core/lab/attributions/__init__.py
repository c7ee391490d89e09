"""What single training examples do: methods that say so, beside the kernel, and what judges them."""
