"""What NVIDIA publishes, for tests that compare with it."""
import glob
import os

from wheels import fetch

NCCL = "nvidia-nccl-cu13==2.32.3"
CUDA = ("nvidia-cuda-runtime==13.*", "nvidia-cuda-crt==13.*", "nvidia-cuda-cccl==13.*")


def nccl(folder):
    """NVIDIA's include folder and library."""
    root = os.path.join(fetch(os.path.join(folder, "nccl"), [NCCL]), "nvidia", "nccl")
    return os.path.join(root, "include"), os.path.join(root, "lib", "libnccl.so.2")


def cuda(folder):
    """The include folder of CUDA."""
    return glob.glob(os.path.join(fetch(os.path.join(folder, "cuda"), CUDA), "nvidia", "cu*", "include"))[0]
