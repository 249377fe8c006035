"""Programs as trials: any command that trains something, in a process of its own, driven over a socket."""
