/** What a read of a partition may return, and how much. */
export interface ReadLimits {
  /** Whole batches up to this many bytes. */
  readonly bytesMax: number;
  /** Batches that begin at or behind it are not returned. */
  readonly endOffset: number;
  /** Return the first batch even where it alone is larger than `bytesMax`. */
  readonly atLeastOneBatch: boolean;
}

/** Whole batches in pooled memory. */
export interface FetchedBytes {
  readonly bytes: Uint8Array;
  /** Behind the last record of them. */
  readonly nextOffset: number;
  /** Gives the memory back; call it once, when nothing will look at `bytes` any more. */
  release(): void;
}
