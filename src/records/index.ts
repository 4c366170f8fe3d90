/**
 * Records and batches: Kafka's RecordBatch v2, byte for byte, and its compression.
 *
 * Promises that what {@link checkBatch} let pass can be stored and sent as it stands, that reading
 * any bytes ends in records, a {@link BatchFault} or a LogError and never in a crash, and that
 * compressed bytes never grow past the limit given. Knows no file, topic or connection.
 * The grammar is in `docs/formats/record-batch.md`. Start reading at {@link BatchHeader}.
 */
export { BatchBuilder, type BatchBuilderOptions } from "./batch-builder.ts";
export { type BatchFault, checkBatch, checkStoredBatch } from "./batch-check.ts";
export { BATCH_HEADER_BYTES, BatchHeader, patchBatch, patchLogAppendTime } from "./batch-header.ts";
export { BatchRewriter, OFFSET_DELTA_MAX, recordTail } from "./batch-rewriter.ts";
export { BatchSlab } from "./batch-slab.ts";
export { type Codec, codecNames } from "./compression.ts";
export { RecordCursor } from "./record-cursor.ts";
export type { RecordHeader } from "../values/index.ts";
