"""Ways to one store: processes that pass octets on. To a front end each is a store with the
same mail, and it can be killed or stopped like one.

As a program: way.py LISTEN_ADDRESS STORE_ADDRESS
"""

import asyncio
import pathlib
import socket
import subprocess
import sys


class Way:
    def __init__(self, store_address):
        import harness
        self.address = f"127.0.0.1:{harness.free_port()}"
        self._store_address = store_address
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.address, self._store_address],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def freeze(self):
        """Stops it: its connections stand, and new ones are taken, and nothing is answered."""
        import harness
        self.process.send_signal(harness.signal.SIGSTOP)
        state = pathlib.Path(f"/proc/{self.process.pid}/stat")
        harness.poll(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "the way to stand still")

    def thaw(self):
        import harness
        self.process.send_signal(harness.signal.SIGCONT)


async def pass_on(reader, writer):
    try:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(address, store_address):
    async def take(reader, writer):
        try:
            store_reader, store_writer = await asyncio.open_connection(*store_address.split(":"))
        except OSError:
            return writer.close()
        for end in (writer, store_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(pass_on(reader, store_writer), pass_on(store_reader, writer))

    host, port = address.split(":")
    server = await asyncio.start_server(take, host, int(port))
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
