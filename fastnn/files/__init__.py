"""Model files and checkpoints: written whole or not at all, and checked when they are read."""
