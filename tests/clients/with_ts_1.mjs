// The first version of the TypeScript SDK.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { connection, place, work } from "./flow.mjs";

const client = new Client({ name: "test", version: "1" });
await client.connect(connection(StdioClientTransport, StreamableHTTPClientTransport));
await work(client, `${place.marker}0`);
await client.close();
console.log("@modelcontextprotocol/sdk 1");
