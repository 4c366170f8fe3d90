/** A value whose type the compiler cannot follow, because it was bytes in between: whoever calls says why it holds. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names the type
export function vouched<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- that is what it is for
  return value as T;
}
