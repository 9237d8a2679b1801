"""Which kernel computes each node on a target, and how flash holds the weights that it reads: decided together, because
a kernel is a way to hold weights and the code that reads them."""
