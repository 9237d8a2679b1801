"""intaglio engraves neural networks into firmware."""
