// What flow.py does, for clients in JavaScript.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export async function work(client, marker) {
  const { tools } = await client.listTools();
  assert.equal(tools.length, 14);
  const ok = async (name, args) => {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(!result.isError, result.content[0].text);
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
    return result.structuredContent;
  };
  const started = await ok("session_start", { task: "clients" });
  assert.match(started.session, /^s-/);
  const written = await ok("memory_write", { kind: "finding", title: `Client ${marker}`, body: "It reaches the store." });
  assert.equal(written.status, "stored");
  const found = await ok("memory_search", { query: marker });
  assert.deepEqual(found.attributed.hits.map((hit) => hit.id), [written.id]);
  const refused = await client.callTool({ name: "memory_write", arguments: { kind: "decision", title: "Without a reason" } });
  assert.equal(refused.isError, true);
  assert.match(refused.content[0].text, /^missing_field: /);
  const offered = await ok("handoff_offer", {
    to: "planner", type: "report", outputs: [written.id], questions: ["none"], caveats: ["none"], rejected: ["none"],
  });
  assert.equal(offered.state, "offered");
  const sent = await ok("handoff_inbox", { box: "out" });
  assert.ok(sent.items.some((item) => item.handoff === offered.handoff));
  const ended = await ok("session_end", { outcome: "partial" });
  assert.match(ended.note, /^Ended as partial\./);
}

export const place = JSON.parse(readFileSync(0, "utf8"));

export const connection = (StdioClientTransport, StreamableHTTPClientTransport) =>
  place.url
    ? new StreamableHTTPClientTransport(new URL(place.url), {
        requestInit: { headers: { Authorization: `Bearer ${place.token}` } },
      })
    : new StdioClientTransport({ command: place.command[0], args: place.command.slice(1), env: place.env });
