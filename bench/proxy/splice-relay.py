"""
The yardstick: an HTTP CONNECT relay that does nothing but move pages with splice(2), in blocking threads, one for each
direction. It stands for the relay that somebody would write in C: while a stream runs it is inside the kernel, without
the interpreter's lock, and moves up to 1 MiB a call. It parses no more of the request than the address, resolves no
names, and has no limits.

Usage: python3 splice-relay.py ADDRESS PORT. Needs Python 3.10 (os.splice).
"""

import fcntl
import os
import socket
import sys
import threading

PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031
SPLICE_F_MOVE = 1


def move(source, sink):
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, F_SETPIPE_SZ, PIPE_BYTES)
    try:
        while True:
            held = os.splice(source.fileno(), write_end, PIPE_BYTES, flags=SPLICE_F_MOVE)
            if held == 0:
                break
            while held > 0:
                held -= os.splice(read_end, sink.fileno(), held, flags=SPLICE_F_MOVE)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    finally:
        os.close(read_end)
        os.close(write_end)


def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(4096)
        if not more:
            client.close()
            return
        head += more
    host, port = head.split(b" ", 2)[1].decode().rsplit(":", 1)
    try:
        upstream = socket.create_connection((host, int(port)))
    except OSError:
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        client.close()
        return
    for end in (client, upstream):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    up = threading.Thread(target=move, args=(client, upstream), daemon=True)
    up.start()
    move(upstream, client)
    up.join()
    client.close()
    upstream.close()


listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096)
threading.stack_size(128 * 1024)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
