"""Starting workers: a builder of the text or command, and a thin runner, for each place where workers can run.

A launcher starts the command `hpo worker`; it imports neither the worker nor the storage. On every node the same
command runs, `hpo start-workers local`, which knows the node's GPUs. The storage URL travels in the environment, on
standard input or in a Secret, where other users of a machine can't read it; a command line never holds it.
"""
