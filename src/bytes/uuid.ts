import { invariant } from "../errors/index.ts";

/** The UUID of sixteen zero bytes. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

const canonical = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The sixteen bytes at `position` as canonical text: lower case, dashed, 36 characters. */
export function uuidToString(bytes: Uint8Array, position = 0): string {
  invariant(position + 16 <= bytes.length, "a UUID has sixteen bytes");
  let text = "";
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) text += "-";
    text += hexOfByte[bytes[position + index] ?? 0] ?? "";
  }
  return text;
}

/** Writes a canonical UUID as sixteen bytes at `position`. */
export function writeUuid(text: string, bytes: Uint8Array, position = 0): void {
  invariant(canonical.test(text), "a UUID inside is canonical text");
  invariant(position + 16 <= bytes.length, "a UUID takes sixteen bytes");
  let from = 0;
  for (let index = 0; index < 16; index++) {
    if (text.charCodeAt(from) === 45) from++;
    bytes[position + index] = Number.parseInt(text.slice(from, from + 2), 16);
    from += 2;
  }
}
