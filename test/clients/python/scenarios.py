"""The scenarios of ../facts.ts, for both Python libraries. A library is an object with the methods that are
called here; what fails ends the program."""

import json
import sys
import threading
import time
import zlib

COUNT = 10_000
PARTITIONS = 3
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
EARLIEST, LATEST = -2, -1

bootstrap, scenario, name, t0 = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def key(n):
    return b"key-%d" % (n % 97)


def value(n):
    return b"value %d" % n + b" again" * (n % 20)


def headers(n):
    return [("n", b"%d" % n), ("empty", b""), ("raw", b"\x00\xff\x80")]


class Reading:
    """What a consumer has read, told as the checker wants it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._rows = []
        self._numbers = set()
        self._next = {}

    def add(self, partition, offset, timestamp, key, value, headers):
        number = int(value.split(b" ")[1])
        fields = [key, value]
        for header, content in headers:
            fields += [header.encode(), content]
        crc = zlib.crc32(b"".join(field + b"\0" for field in fields) + b"%d" % timestamp)
        with self._lock:
            self._rows.append([partition, offset, number, crc])
            self._numbers.add(number)
            self._next[partition] = offset + 1

    def count(self):
        with self._lock:
            return len(self._rows)

    def take(self):
        """What was read since the last time."""
        with self._lock:
            rows, self._rows = self._rows, []
            return rows

    def next(self):
        """The positions behind what was read."""
        with self._lock:
            return dict(self._next)

    def forget(self, partitions):
        """Drops the positions of partitions that now belong to another member."""
        with self._lock:
            for partition in partitions:
                self._next.pop(partition, None)

    def numbers(self):
        with self._lock:
            return set(self._numbers)


class Member:
    """A member of the group that is named as its topic, in a thread of its own. A library's subclass has
    poll(), commit_positions(positions), close() and sets `owned`; all three are called in the thread."""

    def __init__(self, commits_always):
        self.reading = Reading()
        self.owned = []
        self._commits_always = commits_always
        self._leaving = threading.Event()
        self._asked = None
        self._done = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        try:
            while not self._leaving.is_set():
                self.poll()
                if self._commits_always:
                    self.try_commit()
                if self._asked is not None:
                    self.commit_positions(self._mine(self._asked))
                    self._asked = None
                    self._done.set()
            self.close()
        except BaseException as error:
            self._failure = error
            self._done.set()
            raise

    def try_commit(self):
        """The server may be away: the next one commits more."""
        try:
            self.commit_positions(self._mine(self.reading.next()))
        except Exception as error:
            print("commit:", repr(error), file=sys.stderr)

    def _mine(self, positions):
        return {each: offset for each, offset in positions.items() if each in self.owned}

    def commit(self, positions):
        self._done.clear()
        self._asked = positions
        self._done.wait(60)
        self.check()

    def leave(self):
        self._leaving.set()
        self._thread.join(60)
        self.check()

    def check(self):
        if self._failure is not None:
            raise RuntimeError("a member failed") from self._failure


def tell(step, **facts):
    print(json.dumps({"step": step, **facts}), flush=True)


def until(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain until {what}")
        time.sleep(0.005)


def run(library):
    if scenario == "crash":
        crash(library)
    else:
        journey(library)


def journey(library):
    none, grouped = f"{name}-none", f"{name}-group"
    topics = [f"{name}-{codec}" for codec in CODECS] + [grouped]
    for topic in topics:
        library.create(topic)
    again = library.create(grouped)
    tell("created", partitions=library.partition_count(grouped), again=again)

    for codec in CODECS:
        topic = f"{name}-{codec}"
        tell("produced", codec=codec, acknowledged=library.produce(topic, codec, range(COUNT)))
        tell("read", codec=codec, records=library.read_all(topic))
    group(library, grouped)

    times = [library.offsets(none, t0 + n) for n in (-1, 0, COUNT // 2, COUNT)]
    earliest, latest = library.offsets(none, EARLIEST), library.offsets(none, LATEST)
    tell("offsets", earliest=earliest, latest=latest, times=times)

    before = library.retention(none)
    library.set_retention(none, "86400000")
    tell("config", before=before, after=library.retention(none))

    library.delete_records(none, 0, 100)
    earliest = library.offsets(none, EARLIEST)
    tell("records-deleted", earliest=earliest, records=library.read_all(none))

    library.delete_topics(topics)
    tell("topics-deleted", listed=[each for each in library.list_topics() if each.startswith(f"{name}-")])


def group(library, topic):
    first = library.join(topic, False)
    library.produce(topic, "lz4", range(4_000))
    until("one member has read all", lambda: first.reading.count() == 4_000)
    first.commit(first.reading.next())
    tell("group-first", records=first.reading.take())

    second = library.join(topic, False)
    until("both own partitions", lambda: second.owned and len(first.owned) + len(second.owned) == PARTITIONS)
    library.produce(topic, "lz4", range(4_000, 7_000))
    until("two have read all", lambda: first.reading.count() + second.reading.count() == 3_000)
    first.commit(first.reading.next())
    second.commit(second.reading.next())
    members = [first.reading.take(), second.reading.take()]
    tell("group-shared", partitions=[first.owned, second.owned], members=members)

    second.leave()
    until("the first one owns all", lambda: len(first.owned) == PARTITIONS)
    library.produce(topic, "lz4", range(7_000, COUNT))
    until("it has read all", lambda: first.reading.count() == 3_000)
    tell("group-left", partitions=first.owned, records=first.reading.take())
    first.commit({partition: next - 7 for partition, next in first.reading.next().items()})
    first.leave()
    tell("group-committed", committed=library.committed(topic))

    again = library.join(topic, False)
    until("it has read what was not committed", lambda: again.reading.count() >= 7 * PARTITIONS)
    again.leave()
    tell("group-restarted", records=again.reading.take())


def crash(library):
    topic = f"{name}-crash"
    library.create(topic)
    members = [library.join(topic, True), library.join(topic, True)]
    until("both own partitions", lambda: all(member.owned for member in members))
    tell("created", partitions=PARTITIONS)

    stream = library.stream(topic)
    left = [3_000, 6_500]
    for first in range(0, COUNT, 250):
        for n in range(first, first + 250):
            stream.send(n)
        time.sleep(0.025)
        stream.poll()
        until("all but 1,000 are acknowledged", lambda: stream.poll() >= first + 250 - 1_000)
        if left and stream.poll() >= left[0]:
            left.pop(0)
            tell("producing", acknowledged=stream.poll())
    tell("produced", acknowledged=stream.close())

    def have_read_all():
        for member in members:
            member.check()
        return len(members[0].reading.numbers() | members[1].reading.numbers()) == COUNT

    until("the members have read all", have_read_all)
    until("all is committed", lambda: library.committed(topic) == library.offsets(topic, LATEST))
    for member in members:
        member.leave()
    tell("consumed", members=[member.reading.take() for member in members])
    tell("committed", committed=library.committed(topic))
    tell("read", records=library.read_all(topic))
