/**
 * The outside world as an interface: clocks, random, timers, disk, network, and a log of events.
 *
 * Everything below `server` reaches the machine through an {@link Env} that it was handed, so a
 * simulator can run the whole product from one seed. `node/` is the only code that touches the
 * machine; {@link MemoryDisk} is a disk that can lose what was not synced. This room knows nothing
 * of logs.
 */
export type {
  Address,
  Clock,
  Connection,
  ConnectionHandler,
  Disk,
  DiskFile,
  DiskLock,
  Env,
  EventLog,
  Listener,
  Network,
  Random,
  Timer,
  Timers,
} from "./env.ts";
export type {
  BeginOptions,
  BodyReceiver,
  HttpAnswerHeaders,
  HttpExchange,
  HttpHeaders,
  HttpLimits,
  HttpListener,
  HttpListenerStats,
  HttpServerOptions,
  ReceiveOptions,
} from "./http.ts";
export { VirtualClock } from "./memory/clock.ts";
export {
  type CrashFate,
  type DiskCall,
  diskError,
  MemoryDisk,
  type MemoryDiskOptions,
  type Unsynced,
} from "./memory/disk.ts";
export { MemoryNetwork } from "./memory/network.ts";
export { SeededRandom } from "./memory/random.ts";
export { type MemoryEnv, memoryEnv, type MemoryEnvOptions, seededFates } from "./memory/world.ts";
