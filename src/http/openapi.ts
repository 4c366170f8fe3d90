/** The description of the API for programs: OpenAPI 3.1, served at /openapi.json. */
import { outcomes } from "../errors/index.ts";

/** One method at one path. */
interface Operation {
  readonly summary: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** What may be sent, by media type. */
  readonly body?: Readonly<Record<string, object>>;
  /** What is answered, by media type; none for 204. */
  readonly answer?: Readonly<Record<string, object>>;
  readonly status?: 200 | 201 | 204;
}

const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const listOf = (items: object): object => ({ type: "array", items });
const objectOf = (properties: Readonly<Record<string, object>>, ...required: string[]): object => ({
  type: "object",
  properties,
  ...(required.length === 0 ? {} : { required }),
});
const json = (schema: object): Readonly<Record<string, object>> => ({ "application/json": schema });
const text = { type: "string" };
const bytes = { type: "string", contentMediaType: "application/octet-stream" };
const integer = { type: "integer", format: "int64", minimum: 0 };
const flag = { type: "boolean" };
const settings = { type: "object", additionalProperties: { type: ["string", "null"] } };
const ndjson = "application/x-ndjson";
const raw = "application/octet-stream";

const range =
  "Where to begin and to end: start, end, N, -N, N..M, @2026-11-20T08:00:00Z.., @-1h.., ..@-5m";
const conditions = {
  expectedOffset: "The offset that the first record must get",
  expectedLastOffset: "Where the newest record of the key must be, or none",
};
const ifMatch = { "If-Match": 'The same as expectedOffset, in quotes: "42"' };

/** By path and method. */
const operations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/topics/{topic}/records": {
    post: {
      summary: "Append one record, several, or a stream of lines",
      query: {
        partition: "For records that name none",
        ...conditions,
        key: "Of a record that is sent as bytes",
        timestamp: "Of a record that is sent as bytes, in milliseconds since 1970",
        lines: "What a line is: records (the default) or values",
      },
      headers: ifMatch,
      body: {
        "application/json": { oneOf: [ref("NewRecord"), listOf(ref("NewRecord"))] },
        [ndjson]: ref("NewRecord"),
        [raw]: bytes,
      },
      answer: {
        ...json({ oneOf: [ref("Appended"), ref("AppendedMany"), ref("Summary")] }),
        [ndjson]: ref("Acknowledged"),
      },
    },
  },
  "/topics/{topic}/partitions/{partition}/records": {
    get: {
      summary: "Read records of a range",
      query: { range, limit: "Records at most; 1000 where an array is asked for" },
      answer: { ...json(listOf(ref("Record"))), [ndjson]: ref("Record") },
    },
  },
  "/topics/{topic}/partitions/{partition}/records/{offset}": {
    get: {
      summary: "Read one record; its offset is its entity tag",
      headers: { "If-None-Match": "304 where it is the one that the client has" },
      answer: { ...json(ref("Record")), [raw]: bytes },
    },
  },
  "/topics/{topic}/keys/{key}": {
    get: {
      summary: "Read the newest record of a key",
      query: { partition: "Where the key is not where it would be placed" },
      headers: { "If-None-Match": "304 where it is the one that the client has" },
      answer: { ...json(ref("Record")), [raw]: bytes },
    },
  },
  "/topics/{topic}/events": {
    get: {
      summary: "Follow: server-sent events, lines, or a WebSocket",
      query: {
        range: `${range}; end by default`,
        partition: "One, or several like 0,2; all by default",
        lastEventId: "The id of the last event that was heard",
      },
      headers: { "Last-Event-ID": "The id of the last event that was heard" },
      answer: { "text/event-stream": ref("Record"), [ndjson]: ref("Record") },
    },
  },
  "/topics": {
    get: {
      summary: "List topics",
      answer: json(objectOf({ topics: listOf(ref("ListedTopic")) }, "topics")),
    },
    post: {
      summary: "Create a topic",
      query: { validateOnly: "true judges the request and changes nothing" },
      body: json(objectOf({ name: text, partitions: integer, settings }, "name")),
      answer: json(ref("Topic")),
      status: 201,
    },
  },
  "/topics/{topic}": {
    get: { summary: "Describe a topic", answer: json(ref("Topic")) },
    patch: {
      summary: "Add partitions, change settings",
      body: json(objectOf({ partitions: integer, settings })),
      answer: json(ref("Topic")),
    },
    delete: { summary: "Delete a topic", status: 204 },
  },
  "/topics/{topic}/config": {
    get: {
      summary: "Every setting of a topic, and where it comes from",
      answer: json(ref("Settings")),
    },
  },
  "/topics/{topic}/offsets": {
    get: {
      summary: "Offsets of a point in each partition",
      query: { at: "start, end (the default), N, -N, @TIME, @-1h" },
      answer: json(objectOf({ partitions: listOf(ref("Partition")) }, "partitions")),
    },
  },
  "/topics/{topic}/truncate": {
    post: {
      summary: "Delete the records before a point",
      body: json(
        objectOf({ before: { type: ["string", "integer"] }, partition: integer }, "before"),
      ),
      answer: json(objectOf({ partitions: listOf(ref("Partition")) }, "partitions")),
    },
  },
  "/topics/{topic}/compact": {
    post: {
      summary: "Keep the newest record of each key only",
      query: { partition: "One; all by default" },
      answer: json(objectOf({ partitions: listOf(ref("Compacted")) }, "partitions")),
    },
  },
  "/topics/{topic}/partitions/{partition}": {
    get: {
      summary: "Where a partition begins and ends; its end is its entity tag",
      answer: json(ref("Partition")),
    },
  },
  "/groups": {
    get: {
      summary: "List groups",
      answer: json(objectOf({ groups: listOf(ref("ListedGroup")) }, "groups")),
    },
  },
  "/groups/{group}": {
    get: { summary: "Describe a group: members, positions, lag", answer: json(ref("Group")) },
    delete: { summary: "Delete a group without members", status: 204 },
  },
  "/groups/{group}/offsets": {
    get: { summary: "Positions of a group", answer: json(ref("Positions")) },
    put: {
      summary: "Store positions for a group without members",
      body: json(objectOf({ offsets: listOf(ref("NewPosition")) }, "offsets")),
      answer: json(ref("Positions")),
    },
    delete: {
      summary: "Forget a position",
      query: { topic: "Needed", partition: "Needed" },
      status: 204,
    },
  },
  "/cluster": { get: { summary: "Brokers, and how much there is", answer: json(ref("Cluster")) } },
  "/config": {
    get: { summary: "Settings of the broker", answer: json(ref("Settings")) },
    patch: {
      summary: "Change settings of the broker",
      body: json(objectOf({ settings })),
      status: 204,
    },
  },
  "/health/live": { get: { summary: "Whether the process answers", answer: json(ref("Health")) } },
  "/health/ready": {
    get: { summary: "Whether it takes requests: 200 or 503", answer: json(ref("Health")) },
  },
  "/metrics": {
    get: { summary: "Metrics in the format of Prometheus", answer: { "text/plain": text } },
  },
  "/openapi.json": { get: { summary: "This document", answer: json({ type: "object" }) } },
};

const value = { description: "Any JSON, stored as it is sent; null deletes the key" };
const headerValue = {
  oneOf: [text, { type: "null" }, objectOf({ base64: text }, "base64")],
};
const recordFields = {
  value,
  text: { ...text, description: "Text that is not JSON, in place of value" },
  base64: { ...text, description: "Bytes, in place of value" },
  key: text,
  keyBase64: { ...text, description: "A key that is not text" },
  headers: {
    type: "object",
    additionalProperties: { oneOf: [headerValue, listOf(headerValue)] },
  },
};

const schemas: Readonly<Record<string, object>> = {
  NewRecord: {
    ...objectOf({
      ...recordFields,
      timestamp: { oneOf: [{ type: "integer" }, { type: "string", format: "date-time" }] },
      partition: integer,
    }),
    additionalProperties: false,
  },
  Record: objectOf(
    { partition: integer, offset: integer, timestamp: { type: "integer" }, ...recordFields },
    "partition",
    "offset",
    "timestamp",
  ),
  Appended: objectOf({ partition: integer, offset: integer }, "partition", "offset"),
  AppendedMany: objectOf({ offsets: listOf(ref("Appended")) }, "offsets"),
  Acknowledged: objectOf({ partition: integer, offset: integer, count: integer, line: integer }),
  Summary: objectOf(
    {
      acknowledged: integer,
      partitions: listOf(
        objectOf({ partition: integer, firstOffset: integer, lastOffset: integer, count: integer }),
      ),
    },
    "acknowledged",
  ),
  ListedTopic: objectOf({ name: text, isInternal: flag, partitionCount: integer }, "name"),
  Topic: objectOf(
    { name: text, topicId: text, isInternal: flag, partitions: listOf(ref("Partition")), settings },
    "name",
  ),
  Partition: objectOf(
    {
      partition: integer,
      startOffset: integer,
      endOffset: integer,
      sizeBytes: integer,
      offset: integer,
    },
    "partition",
  ),
  Compacted: objectOf({ partition: integer }, "partition"),
  Settings: objectOf(
    {
      settings: listOf(
        objectOf({
          name: text,
          value: { type: ["string", "null"] },
          origin: text,
          isReadOnly: flag,
          documentation: text,
        }),
      ),
    },
    "settings",
  ),
  ListedGroup: objectOf({ group: text, state: text, protocolType: text }, "group"),
  Group: objectOf(
    {
      group: text,
      state: text,
      protocolType: text,
      protocolName: text,
      members: listOf(
        objectOf({
          memberId: text,
          groupInstanceId: { type: ["string", "null"] },
          clientId: text,
          clientHost: text,
        }),
      ),
      offsets: listOf(ref("Position")),
    },
    "group",
  ),
  NewPosition: objectOf(
    { topic: text, partition: integer, offset: integer, metadata: text },
    "topic",
    "partition",
    "offset",
  ),
  Position: objectOf({
    topic: text,
    partition: integer,
    offset: integer,
    metadata: text,
    endOffset: { type: ["integer", "null"] },
    lag: { type: ["integer", "null"] },
  }),
  Positions: objectOf({ offsets: listOf(ref("Position")) }, "offsets"),
  Cluster: objectOf({
    clusterId: text,
    controllerId: integer,
    brokers: listOf(objectOf({ nodeId: integer, host: text, port: integer })),
    topics: integer,
    partitions: integer,
    groups: integer,
  }),
  Health: objectOf({ status: text }, "status"),
  Problem: objectOf(
    {
      type: { ...text, format: "uri-reference" },
      title: text,
      status: { type: "integer" },
      detail: text,
      code: { ...text, enum: Object.keys(outcomes) },
      isRetriable: flag,
      field: text,
      limit: { type: "integer" },
      line: { type: "integer" },
      acknowledged: integer,
    },
    "type",
    "title",
    "status",
    "detail",
  ),
};

/** The document as it is served. */
export function openApiText(version: string): string {
  const paths = Object.entries(operations).map(([path, methods]) => [
    path,
    pathItem(path, methods),
  ]);
  return `${JSON.stringify({
    openapi: "3.1.0",
    info: {
      title: "Cordwood over HTTP",
      version,
      description: "Records in and out of a commit log as JSON, lines of it, or bytes.",
    },
    paths: Object.fromEntries(paths),
    components: { schemas },
  })}\n`;
}

function pathItem(path: string, methods: Readonly<Record<string, Operation>>): object {
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: ["partition", "offset"].includes(name) ? integer : text,
  }));
  const items = Object.entries(methods).map(([method, operation]) => [
    method,
    operationItem(operation, parameters),
  ]);
  return Object.fromEntries(items);
}

function operationItem(operation: Operation, inPath: readonly object[]): object {
  const { summary, query = {}, headers = {}, body, answer, status = 200 } = operation;
  return {
    summary,
    parameters: [...inPath, ...told("query", query), ...told("header", headers)],
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    responses: {
      [status]: {
        description: "Done",
        ...(answer === undefined ? {} : { content: contentOf(answer) }),
      },
      default: {
        description: "What went wrong (RFC 9457)",
        content: { "application/problem+json": { schema: ref("Problem") } },
      },
    },
  };
}

function told(place: "query" | "header", given: Readonly<Record<string, string>>): object[] {
  return Object.entries(given).map(([name, description]) => {
    return { name, in: place, description, schema: text };
  });
}

function contentOf(byType: Readonly<Record<string, object>>): object {
  return Object.fromEntries(Object.entries(byType).map(([type, schema]) => [type, { schema }]));
}
