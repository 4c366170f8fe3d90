// The client that Connect itself has for browsers, by both of its protocols.
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { ErrorDetailSchema, LogService, TopicService } from "../../../src/proto/index.ts";
import { equal, run, serverUrl } from "./report.ts";

const transports: Readonly<Record<string, Transport>> = {
  "Connect in binary": createConnectTransport({ baseUrl: serverUrl, useBinaryFormat: true }),
  "Connect in JSON": createConnectTransport({ baseUrl: serverUrl, useBinaryFormat: false }),
  "gRPC-Web": createGrpcWebTransport({ baseUrl: serverUrl }),
};
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const steps: Record<string, () => Promise<void>> = {};
for (const [name, transport] of Object.entries(transports)) {
  const topic = name.replaceAll(" ", "-");
  const topics = createClient(TopicService, transport);
  const log = createClient(LogService, transport);
  steps[`${name}: makes a topic and appends to it`] = async () => {
    const made = await topics.createTopic({ topic, partitionCount: 1 });
    equal(made.topic?.name, topic);
    const records = ["one", "two"].map((text) => ({ value: encoder.encode(text) }));
    const { runs } = await log.append({ topic, records });
    equal(
      runs.map(({ partition, offset, count }) => [partition, Number(offset), count]),
      [[0, 0, 2]],
    );
  };
  steps[`${name}: reads a stream`] = async () => {
    const texts: string[] = [];
    for await (const { records } of log.read({ topic })) {
      for (const { value } of records) texts.push(decoder.decode(value));
    }
    equal(texts, ["one", "two"]);
  };
  steps[`${name}: is told what is wrong, with its code`] = async () => {
    const error = await topics
      .describeTopic({ topic: "nowhere" })
      .catch((thrown: unknown) => ConnectError.from(thrown));
    if (!(error instanceof ConnectError)) throw new Error("it was described");
    equal(error.code, Code.NotFound);
    const [detail] = error.findDetails(ErrorDetailSchema);
    equal(detail?.code, "topic_not_found");
  };
  steps[`${name}: follows until it leaves`] = async () => {
    const leaving = new AbortController();
    const texts: string[] = [];
    const following = log.read({ topic, follow: true }, { signal: leaving.signal });
    try {
      for await (const { records } of following) {
        for (const { value } of records) texts.push(decoder.decode(value));
        if (texts.length === 2)
          await log.append({ topic, records: [{ value: encoder.encode("3") }] });
        if (texts.length === 3) leaving.abort();
      }
    } catch (error) {
      equal(ConnectError.from(error).code, Code.Canceled);
    }
    equal(texts, ["one", "two", "3"]);
  };
}

await run(steps);
