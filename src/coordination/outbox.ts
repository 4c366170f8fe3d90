import type { Answer, Answered, Token } from "./events.ts";
import type { Fault } from "./faults.ts";
import type { GroupRecord, GroupStateRecord, OffsetRecord } from "./group-records.ts";

/** What one step has to say: collected while the groups change, handed out at its end. */
export class Outbox {
  readonly changes: Change[] = [];
  readonly answers: Answered[] = [];

  answer(token: Token, answer: Answer): void {
    this.answers.push({ token, answer });
  }

  refuse(token: Token, { code, message }: Fault, memberId?: string): void {
    this.answers.push({ token, answer: { kind: "refused", code, message, memberId } });
  }

  storeGroup(record: GroupStateRecord, before: GroupStateRecord["value"]): void {
    this.changes.push({ record, before: { ...record, value: before } });
  }

  storeOffset(record: OffsetRecord, before: OffsetRecord["value"]): void {
    this.changes.push({ record, before: { ...record, value: before } });
  }
}

/** A record with what its key held before, so that it can be undone when it did not reach the log. */
export interface Change {
  readonly record: GroupRecord;
  readonly before: GroupRecord;
}
