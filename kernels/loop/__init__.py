"""The training loop: what a run does is planned on a tape of operations, which `train` executes."""
