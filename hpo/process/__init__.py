"""This process and what is around it: signs of life, signals, other programs, GPUs."""
