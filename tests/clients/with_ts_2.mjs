// The second version of the TypeScript SDK, in both eras of the protocol.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { connection, place, work } from "./flow.mjs";

for (const [number, mode] of ["auto", "legacy"].entries()) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(connection(StdioClientTransport, StreamableHTTPClientTransport));
  await work(client, `${place.marker}${number}`);
  await client.close();
  console.log(`@modelcontextprotocol/client 2, ${mode}`);
}
