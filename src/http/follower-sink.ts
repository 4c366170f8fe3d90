/** Where chunks go. */
export interface FollowerSink {
  readonly unsentBytes: number;
  readonly isGone: boolean;
  /** False where more should wait for `drained`. */
  write(chunk: Uint8Array): boolean;
  /** Resolves also when the client has gone. */
  drained(): Promise<void>;
  end(): void;
  abort(): void;
  /** Something that the client does not see as a record. */
  beat(): void;
}
