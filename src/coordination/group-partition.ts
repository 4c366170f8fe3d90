/**
 * The partition of `__consumer_offsets` that holds a group, as every client's tools compute it: the
 * 32-bit string hash of Java, made positive, modulo the count.
 */
export function groupPartition(groupId: string, partitionCount: number): number {
  let hash = 0;
  // By UTF-16 units, not by characters: that is what the hash is defined on.
  for (let index = 0; index < groupId.length; index++) {
    hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0;
  }
  // The least 32-bit number has no positive counterpart and counts as zero.
  const positive = hash === -(2 ** 31) ? 0 : Math.abs(hash);
  return positive % partitionCount;
}
