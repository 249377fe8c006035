"""`python -m hpo.reference`."""

from hpo.reference import markdown

print(markdown())
