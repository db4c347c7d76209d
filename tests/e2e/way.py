"""A way to a store: way.py LISTEN_ADDRESS STORE_ADDRESS passes octets on, in both directions."""

import asyncio
import socket
import sys


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
