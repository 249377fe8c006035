"""Which regularization, and how should it move during training? Studies that answer, on many machines."""

__version__ = "0.1.0"
