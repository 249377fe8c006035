"""Texts that people read, made right: errors explained, names suggested, secrets hidden, nothing that acts."""
