import { createServer, type Server, Socket } from "node:net";

import type { Address, Connection, Network } from "../env.ts";
import { SocketConnection } from "./connection.ts";
import { HttpServer } from "./http.ts";

/** TCP and HTTP of this machine. */
export const nodeNetwork: Network = {
  async listen(at, accept) {
    const open = new Set<Connection>();
    const options = { pauseOnConnect: true, noDelay: true, keepAlive: true };
    const server = createServer(options, (socket) => {
      const connection: SocketConnection = new SocketConnection(socket, () =>
        open.delete(connection),
      );
      open.add(connection);
      accept(connection);
    });
    const port = await listening(server, at);
    return {
      port,
      // The server itself would wait for ever for sockets whose handles were moved.
      async close() {
        server.close();
        for (const connection of open) connection.destroy();
        while (open.size > 0) await nextTurn();
      },
    };
  },

  async connect(to) {
    const socket = new Socket();
    // Else Node begins to read as soon as it is connected.
    socket.pause();
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect({ host: to.host, port: to.port }, () => {
        socket.off("error", reject);
        resolve();
      });
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    return new SocketConnection(socket);
  },

  async serveHttp(at, options) {
    const http = new HttpServer(options);
    const port = await listening(http.server, at);
    return { port, stats: () => http.stats(), close: (graceMs = 0) => http.close(graceMs) };
  },
};

/** Settles with the port once the server accepts. */
async function listening(server: Server, at: Address): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off("error", reject);
      // Later ones are of a single accept, as when descriptors run out, and end nothing.
      server.on("error", () => {});
      resolve();
    });
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : at.port;
}

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
