"""Starting workers: a builder of the text or command, and a thin runner, for each place where workers can run.

A launcher starts the command `hpo worker`; it imports neither the worker nor the storage. The storage URL travels in
the environment, where other users of the machine can't read it.
"""
