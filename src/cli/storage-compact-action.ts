import { Broker, type OpenTopic } from "../broker/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import type { CompactionProgress } from "../values/index.ts";
import { confirm } from "./ask.ts";
import { compactionRow, uncompactedPlan } from "./compaction-rows.ts";
import { directoryPath } from "./directory-path.ts";
import { paint, showsColor } from "./paint.ts";
import type { Row } from "./rows.ts";
import { counted, type Speaking, withOutput } from "./session.ts";
import type { CompactFlags } from "./storage-compact.ts";

const PROGRESS_MS = 100;
const CLEAR_LINE = "\r\u001b[K";
const BAR_WIDTH = 24;

/** Compacts topics of a directory that no server holds. */
export async function compactStorage(
  directory: string,
  names: readonly string[],
  flags: CompactFlags,
): Promise<void> {
  await withOutput(async (speaking) => {
    const broker = await Broker.open(nodeEnv(), {
      directory: directoryPath(directory),
      advertised: () => ({ host: "directory", port: 0 }),
      settings: new Map([["log.cleaner.enable", "false"]]),
      onFatal: (error) => speaking.say(error.message),
    });
    try {
      const topics = chosenTopics(broker, names);
      if (topics.length === 0) {
        speaking.say("no topic has cleanup.policy=compact; name those to compact nevertheless");
      }
      await confirmOthers(topics, speaking, flags.yes);
      const rows: Row[] = [];
      for (const topic of topics) rows.push(...(await compactTopic(broker, topic, speaking)));
      speaking.print(rows, flags.output);
    } finally {
      await broker.close();
    }
  });
}

/** Those that are named, or else those whose policy says so. */
function chosenTopics(broker: Broker, names: readonly string[]): OpenTopic[] {
  if (names.length === 0) {
    return broker.listTopics().filter((topic) => !topic.isInternal && topic.policy.isCompacted);
  }
  return [...new Set(names)].map((name) => {
    const topic = broker.topicNamed(name);
    if (topic === undefined) throw new LogError("topic_not_found", `there is no topic "${name}"`);
    return topic;
  });
}

/** Nobody expects records to go from a topic that was not made for it. */
async function confirmOthers(
  topics: readonly OpenTopic[],
  speaking: Speaking,
  isSure: boolean,
): Promise<void> {
  const others = topics.filter(({ policy }) => !policy.isCompacted).map(({ name }) => name);
  if (others.length > 0) await confirm(speaking, uncompactedPlan(others), isSure);
}

async function compactTopic(
  broker: Broker,
  { name }: OpenTopic,
  { signal }: Speaking,
): Promise<Row[]> {
  const bar = new ProgressBar(name);
  try {
    const compacted = await broker.compactTopic(
      { name },
      { signal, progress: (reached) => bar.show(reached) },
    );
    return compacted.map((report) => compactionRow(name, report));
  } finally {
    bar.clear();
  }
}

/** One line on stderr, where that is a terminal. */
class ProgressBar {
  readonly #name: string;
  readonly #isShown = process.stderr.isTTY;
  readonly #clock = nodeEnv().clock;
  #shownMs = -Infinity;

  constructor(name: string) {
    this.#name = name;
  }

  show(reached: CompactionProgress & { readonly partition: number }): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#isShown || nowMs - this.#shownMs < PROGRESS_MS) return;
    this.#shownMs = nowMs;
    process.stderr.write(`${CLEAR_LINE}${barText(this.#name, reached)}`);
  }

  clear(): void {
    if (this.#isShown && this.#shownMs > -Infinity) process.stderr.write(CLEAR_LINE);
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

/** `orders/0 ######------  52 %  1.2 of 2.3 MB, 1,204 records removed` */
function barText(
  name: string,
  reached: CompactionProgress & { readonly partition: number },
): string {
  const { partition, bytesDone, bytesToDo, recordsRemoved } = reached;
  const share = bytesToDo === 0 ? 1 : bytesDone / bytesToDo;
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = "#".repeat(filled) + "-".repeat(BAR_WIDTH - filled);
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  const bytes = `${megabytes(bytesDone)} of ${megabytes(bytesToDo)} MB`;
  const removed = `${counted(recordsRemoved, "record")} removed`;
  return `${name}/${partition} ${paint(bar, "cyan", showsColor(process.stderr))}${percent}  ${bytes}, ${removed}`;
}
