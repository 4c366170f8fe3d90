/** Bounds of what one call may take. */
export const rpcLimits = {
  /** A message of a client, decompressed. */
  messageBytesMax: 4 * 1024 * 1024,
  /** What one append stream has sent and was not acknowledged; then it is not read any further. */
  unacknowledgedBytesMax: 4 * 1024 * 1024,
  /** Answers that a client has not taken; then nothing more is made for it. */
  unsentBytesMax: 512 * 1024,
  /** Records in one message of a reading; a larger record goes alone. */
  readBytesMax: 64 * 1024,
  /** Records, and their bytes, that are answered at once. */
  tailRecordsMax: 10_000,
  tailBytesMax: 4 * 1024 * 1024,
  /** Longest deadline that a client may set. */
  timeoutMsMax: 24 * 60 * 60 * 1000,
} as const;
