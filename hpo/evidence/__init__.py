"""What trials show, in numbers: which configuration was chosen, what it measured, and what that decides."""
