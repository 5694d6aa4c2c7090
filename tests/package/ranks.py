"""Ranks in Python that know only the C interface: ranks.py LIBRARY FOLDER RANK RANKS SCENE. They meet by files in the folder.
As a module: starts them."""
import ctypes
import os
import subprocess
import sys
import time

INT, SUM = 2, 0


class UniqueId(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_byte * 128)]


class Ranks:
    """The ranks of a scene, each a process; killed at the end, if need be."""

    def __init__(self, library, folder, count, scene, **variables):
        self.folder = folder
        self.processes = [subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), library, folder, str(rank), str(count), scene],
                                           env={**os.environ, **variables}) for rank in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def pid(self, rank):
        return self.processes[rank].pid

    def await_word(self, *words):
        for word in words:
            await_file(os.path.join(self.folder, word))

    def say(self, word):
        open(os.path.join(self.folder, word), "w").close()

    def end(self):
        """Each rank's exit status."""
        return [process.wait(60) for process in self.processes]


def await_file(path):
    deadline = time.monotonic() + 60
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            sys.exit(f"{path} does not come")
        time.sleep(0.01)


class Rank:
    def __init__(self, library, folder, rank, ranks):
        self.nccl = ctypes.CDLL(library)
        self.nccl.ncclGetLastError.restype = ctypes.c_char_p
        self.folder, self.rank, self.ranks = folder, rank, ranks

    def say(self, word):
        open(os.path.join(self.folder, word), "w").close()

    def await_word(self, word):
        await_file(os.path.join(self.folder, word))

    def join(self, name="id"):
        path, unique_id, comm = os.path.join(self.folder, name), UniqueId(), ctypes.c_void_p()
        if self.rank == 0:
            self.nccl.ncclGetUniqueId(ctypes.byref(unique_id))
            with open(path + ".part", "wb") as file:
                file.write(bytes(unique_id))
            os.rename(path + ".part", path)
        await_file(path)
        with open(path, "rb") as file:
            unique_id = UniqueId.from_buffer_copy(file.read())
        if self.nccl.ncclCommInitRank(ctypes.byref(comm), self.ranks, unique_id, self.rank) != 0:
            sys.exit(f"rank {self.rank} cannot join: {self.nccl.ncclGetLastError(None)}")
        return comm

    def all_reduce(self, comm, count=100):
        data = (ctypes.c_int * max(count, 1))()
        return self.nccl.ncclAllReduce(data, data, ctypes.c_size_t(count), INT, SUM, comm, None)

    def exchange(self, comm):
        data, peer, size = (ctypes.c_int * 8)(), 1 - self.rank, ctypes.c_size_t(8)
        self.nccl.ncclGroupStart()
        self.nccl.ncclSend(data, size, INT, peer, comm, None)
        self.nccl.ncclRecv(data, size, INT, peer, comm, None)
        return self.nccl.ncclGroupEnd()

    def idle(self):
        comm = self.join()
        results = [self.all_reduce(comm) for _ in range(3)]
        self.say(f"ready{self.rank}")
        self.await_word("go")
        return sum(results) + self.nccl.ncclCommDestroy(comm)

    def mixed(self):
        """More than a logbook holds, collectives and messages."""
        comm = self.join()
        results = [self.all_reduce(comm, 1 + i % 7) for i in range(2500)] + [self.exchange(comm) for _ in range(5)]
        results += [self.all_reduce(comm) for _ in range(5)]
        self.say(f"ready{self.rank}")
        self.await_word("go")
        return sum(results) + self.nccl.ncclCommDestroy(comm)

    def late(self):
        comm = self.join()
        results = [self.all_reduce(comm) for _ in range(3)]
        self.say(f"ready{self.rank}")
        if self.rank == 1:
            self.await_word("go")
        return sum(results) + self.all_reduce(comm) + self.nccl.ncclCommDestroy(comm)

    def time_out(self):
        comm = self.join()
        results = [self.all_reduce(comm) for _ in range(3)]
        if self.rank == 1:
            self.await_word("failed0")
        results.append(self.all_reduce(comm))
        self.say(f"failed{self.rank}")
        self.nccl.ncclCommAbort(comm)
        return 0 if results[:3] == [0, 0, 0] and results[3] != 0 else 70 + sum(results[:3])

    def mismatch(self):
        comm = self.join()
        self.all_reduce(comm)
        result = self.all_reduce(comm, 100 + self.rank)
        result = result or self.all_reduce(comm)
        self.nccl.ncclCommAbort(comm)
        return 0 if result != 0 else 7

    def opposite(self):
        comms = [self.join("id0"), self.join("id1")]
        self.say(f"ready{self.rank}")
        return self.all_reduce(comms[self.rank]) + self.all_reduce(comms[1 - self.rank])

    def death(self):
        comm = self.join()
        self.say(f"ready{self.rank}")
        result = 0
        while result == 0:
            result = self.all_reduce(comm)
        self.nccl.ncclCommAbort(comm)
        return 0

    def abort(self):
        comm = self.join()
        result = self.all_reduce(comm)
        if self.rank == 0:
            return result + self.nccl.ncclCommAbort(comm)
        result = self.all_reduce(comm)
        self.nccl.ncclCommAbort(comm)
        return 0 if result != 0 else 7


if __name__ == "__main__":
    sys.exit(getattr(Rank(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])), sys.argv[5])())
