"""A store as torchrun's agent keeps it: the server's side of PyTorch's TCPStore wire protocol (commands of
TCPStoreBackend.hpp), as much of it as a client needs to pass bytes on. Knows of no client but what it says."""
import socket
import struct
import threading

MAGIC = 0x3C85F7CE
VALIDATE, SET, GET, ADD, CHECK, WAIT, DELETE_KEY, PING = 0, 1, 3, 4, 5, 6, 8, 13
READY, NOT_READY, STOP_WAITING = 0, 1, 0


class Gone(Exception):
    pass


class Client:
    def __init__(self, connection):
        self.connection = connection

    def read(self, count):
        data = b""
        while len(data) < count:
            got = self.connection.recv(count - len(data))
            if not got:
                raise Gone
            data += got
        return data

    def number(self, form):
        return struct.unpack("<" + form, self.read(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.read(self.number("Q"))

    def say(self, form, *values):
        self.connection.sendall(struct.pack("<" + form, *values))


class TcpStore:
    def __init__(self):
        self.values, self.changed, self.complaints = {}, threading.Condition(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(Client(connection),), daemon=True).start()

    def serve(self, client):
        try:
            # Strangers are let go without a word.
            if client.number("B") != VALIDATE or client.number("I") != MAGIC:
                return
            while True:
                self.answer(client, client.number("B"))
        except (Gone, OSError):
            pass
        finally:
            client.connection.close()

    def keys(self, client):
        return [client.text() for _ in range(client.number("Q"))]

    def answer(self, client, command):
        if command == WAIT:
            keys = self.keys(client)
            with self.changed:
                self.changed.wait_for(lambda: all(key in self.values for key in keys))
            client.say("B", STOP_WAITING)
        elif command == CHECK:
            with self.changed:
                ready = all(key in self.values for key in self.keys(client))
            client.say("B", READY if ready else NOT_READY)
        elif command == PING:
            client.say("I", client.number("I"))
        elif command in (SET, GET, ADD, DELETE_KEY):
            self.change(client, command, client.text())
        else:
            self.complaints.append(f"unknown command {command}")
            raise Gone

    def change(self, client, command, key):
        with self.changed:
            if command == SET:
                self.values[key] = client.text()
            elif command == GET:
                value = self.values[key]
                client.say(f"Q{len(value)}s", len(value), value)
            elif command == ADD:
                total = int(self.values.get(key, b"0")) + client.number("q")
                self.values[key] = str(total).encode()
                client.say("q", total)
            else:
                client.say("q", 1 if self.values.pop(key, None) is not None else 0)
            self.changed.notify_all()
