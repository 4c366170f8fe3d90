// A program that counts orders in its own database, exactly once whatever kills it: the position of
// the subscription is stored in the transaction that stores the effects.
import { DatabaseSync } from "node:sqlite";

import { open } from "../../src/index.ts";

const [directory = ""] = process.argv.slice(2);

await using store = await open(`file:${directory}/store`);
const orders = await store.topic<{ id: number; total: number }>("orders", { codec: "json" });

using database = new DatabaseSync(`${directory}/totals.sqlite`);
database.exec(`
  CREATE TABLE IF NOT EXISTS totals (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER, sum INTEGER);
  CREATE TABLE IF NOT EXISTS positions (name TEXT PRIMARY KEY, position TEXT);
  INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
`);
const stored = database.prepare("SELECT position FROM positions WHERE name = 'totals'").get();
const position = JSON.parse(String(stored?.["position"] ?? "{}"));

const add = database.prepare("UPDATE totals SET count = count + 1, sum = sum + ?");
const keep = database.prepare("INSERT OR REPLACE INTO positions VALUES ('totals', ?)");
store.subscribe({ topics: [orders], position, batchRecords: 10 }, (batch) => {
  database.exec("BEGIN IMMEDIATE");
  for (const { value } of batch.records) add.run(value.total);
  keep.run(JSON.stringify(batch.position));
  database.exec("COMMIT");
  process.stdout.write(`${batch.records.length}\n`);
});

// Goes on with the numbers behind the last one that is there, until it is killed.
const last = await orders.read({ from: -1 }).next();
for (let id = (last.value?.value.id ?? 0) + 1; ; id++) await orders.append({ id, total: id });
