CUDA_VISIBLE_DEVICES=0 hpo worker first 'second one' --device=cuda --lease=30 --forever
CUDA_VISIBLE_DEVICES=GPU-8932f937 hpo worker first 'second one' --device=cuda --lease=30 --forever
CUDA_VISIBLE_DEVICES=0 hpo worker first 'second one' --device=cuda --lease=30 --forever
CUDA_VISIBLE_DEVICES=GPU-8932f937 hpo worker first 'second one' --device=cuda --lease=30 --forever
