hpo worker quickstart --device=auto
