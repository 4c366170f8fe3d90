import { LogError } from "../errors/index.ts";

/** A line that is longer is no line of text any more. */
export const lineBytesMax = 64 * 1024 * 1024;

/** A line that is not what it has to be; whoever reads the file adds its name and the number of the line. */
export class BadLine extends Error {}

/**
 * Cuts chunks of bytes into lines, without their line breaks; bytes behind the last line break are a
 * line too. A line is a view of the chunk that ends it, valid until the next chunk.
 * @throws LogError record_too_large
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array[], void, undefined> {
  /** Parts of a line that has not ended. */
  let open: Uint8Array[] = [];
  let openBytes = 0;
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const rest = bytes.subarray(start, end);
      lines.push(openBytes === 0 ? rest : Buffer.concat([...open, rest]));
      if (openBytes > 0) open = [];
      openBytes = 0;
      start = end + 1;
    }
    if (start < bytes.length) {
      open.push(bytes.subarray(start));
      openBytes += bytes.length - start;
    }
    if (openBytes > lineBytesMax) {
      throw new LogError("record_too_large", `a line has more than ${lineBytesMax} bytes`);
    }
    if (lines.length > 0) yield lines;
  }
  if (openBytes > 0) yield [Buffer.concat(open)];
}
