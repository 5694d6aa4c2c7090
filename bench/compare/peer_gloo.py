"""Gloo through torch.distributed, driven by the same C loops as every other library.

    peer_gloo.py LIBRARY RANKS FILE ...

LIBRARY is the loops as a shared object, what follows is theirs. Starts the other ranks itself, unless a launcher has and says
in PMI_RANK which this is. What Python adds to a call is some 10 us, of 150 that
the shortest call takes. Gloo reduces in place, so a copy of the input precedes an allreduce and a reduce and is
counted.
"""
import ctypes
import datetime
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import torch
import torch.distributed as dist

ALLREDUCE, REDUCE_SCATTER, ALLGATHER, ALLTOALL, BROADCAST, REDUCE = range(6)
RUN = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Peer(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_int), ("ranks", ctypes.c_int), ("run", RUN)] + [
        (name, ctypes.c_void_p) for name in ("allocate", "show", "look")
    ]


tensors = {}


def tensor(address, count):
    if (address, count) not in tensors:
        memory = (ctypes.c_float * count).from_address(address)
        tensors[address, count] = torch.frombuffer(memory, dtype=torch.float32)
    return tensors[address, count]


def run(operation, send, receive, count):
    ranks = dist.get_world_size()
    if operation in (ALLREDUCE, REDUCE):
        result = tensor(receive, count)
        result.copy_(tensor(send, count))
        dist.all_reduce(result) if operation == ALLREDUCE else dist.reduce(result, 0)
    elif operation == REDUCE_SCATTER:
        dist.reduce_scatter_tensor(tensor(receive, count), tensor(send, count * ranks))
    elif operation == ALLGATHER:
        dist.all_gather_into_tensor(tensor(receive, count * ranks), tensor(send, count))
    elif operation == ALLTOALL:
        dist.all_to_all_single(tensor(receive, count * ranks), tensor(send, count * ranks))
    elif operation == BROADCAST:
        dist.broadcast(tensor(receive, count), 0)


def main():
    library, ranks, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    launched = "PMI_RANK" in os.environ
    rank = int(os.environ.get("PMI_RANK", 0))
    for other in range(1, ranks):
        if rank == 0 and not launched and os.fork() == 0:
            rank = other
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}.store", rank=rank, world_size=ranks,
                            timeout=datetime.timedelta(seconds=60))
    peer = Peer(rank, ranks, RUN(run))
    arguments = [argument.encode() for argument in sys.argv[1:]]
    loops = ctypes.CDLL(library)
    loops.measure(ctypes.byref(peer), len(arguments), (ctypes.c_char_p * len(arguments))(*arguments))
    dist.destroy_process_group()
    if rank == 0 and not launched:
        for _ in range(1, ranks):
            os.wait()


main()
