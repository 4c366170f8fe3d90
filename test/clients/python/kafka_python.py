"""kafka-python; ../facts.ts says what the program does and prints."""

import sys

from kafka import (
    ConsumerRebalanceListener,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import BrokerResponseError, KafkaConnectionError

import scenarios
from scenarios import EARLIEST, LATEST, PARTITIONS, Reading, bootstrap, headers, key, name, run, t0, until, value

common = {"bootstrap_servers": bootstrap, "client_id": name, "reconnect_backoff_max_ms": 500}


class Stream:
    def __init__(self, topic, codec):
        compression = None if codec == "none" else codec
        self._producer = KafkaProducer(
            **common, enable_idempotence=True, acks="all", linger_ms=5, compression_type=compression
        )
        self._topic = topic
        self._futures = []
        self._acknowledged = 0

    def send(self, n):
        self._futures.append(
            self._producer.send(self._topic, value(n), key(n), headers=headers(n), timestamp_ms=t0 + n)
        )

    def poll(self):
        while self._futures and self._futures[0].is_done:
            self._futures.pop(0).get(0)
            self._acknowledged += 1
        return self._acknowledged

    def close(self):
        self._producer.flush(60)
        self._producer.close()
        return self.poll()


def add(reading, record):
    reading.add(record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)


class Member(scenarios.Member, ConsumerRebalanceListener):
    def __init__(self, topic, commits_always):
        scenarios.Member.__init__(self, commits_always)
        self._topic = topic
        self._consumer = KafkaConsumer(
            **common,
            group_id=topic,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=200,
        )
        self._consumer.subscribe([topic], listener=self)

    def on_partitions_assigned(self, _):
        self.owned = sorted(each.partition for each in self._consumer.assignment())

    def on_partitions_revoked(self, revoked):
        self.owned = []
        self.reading.forget([each.partition for each in revoked])

    def poll(self):
        # Where a poll's time ends between the answers to JoinGroup and SyncGroup, 3.0.12 takes the member for
        # joined and never gives it its partitions: so a poll must outlast a join.
        try:
            read = self._consumer.poll(300 if self.owned else 2_000, max_records=1_000)
        except KafkaConnectionError as error:
            print("poll:", repr(error), file=sys.stderr)  # The server is away.
            return
        for records in read.values():
            for record in records:
                add(self.reading, record)

    def commit_positions(self, positions):
        if positions:
            offsets = {
                TopicPartition(self._topic, each): OffsetAndMetadata(offset, "", -1)
                for each, offset in positions.items()
            }
            self._consumer.commit(offsets, timeout_ms=5_000)

    def close(self):
        self._consumer.close(autocommit=False)


class Library:
    def __init__(self):
        self._admin = KafkaAdminClient(**common)

    def create(self, topic):
        try:
            self._admin.create_topics({topic: {"num_partitions": PARTITIONS, "replication_factor": 1}})
            return 0
        except BrokerResponseError as error:
            return error.errno

    def partition_count(self, topic):
        return len(self._admin.describe_topics([topic])[0]["partitions"])

    def produce(self, topic, codec, numbers):
        stream = Stream(topic, codec)
        for n in numbers:
            stream.send(n)
        return stream.close()

    def stream(self, topic):
        return Stream(topic, "none")

    def read_all(self, topic):
        consumer = KafkaConsumer(**common, group_id=None, enable_auto_commit=False)
        partitions = [TopicPartition(topic, each) for each in range(PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        count = sum(consumer.end_offsets(partitions).values()) - sum(consumer.beginning_offsets(partitions).values())
        reading = Reading()

        def is_read():
            for records in consumer.poll(50, max_records=1_000).values():
                for record in records:
                    add(reading, record)
            return reading.count() >= count

        until("the topic is read", is_read)
        consumer.close()
        return reading.take()

    def join(self, topic, commits_always):
        return Member(topic, commits_always).start()

    def committed(self, group):
        found = self._admin.list_group_offsets([group])[group]
        return {each.partition: position.offset for each, position in found.items()}

    def offsets(self, topic, place):
        asked = {TopicPartition(topic, each): place for each in range(PARTITIONS)}
        found = self._admin.list_partition_offsets(asked)
        return {each.partition: position.offset if position else -1 for each, position in found.items()}

    def retention(self, topic):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, ["retention.ms"])
        return self._admin.describe_configs([resource], config_filter="all")["topic"][topic]["retention.ms"]["value"]

    def set_retention(self, topic, ms):
        self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": ms})])

    def delete_records(self, topic, partition, before):
        self._admin.delete_records({TopicPartition(topic, partition): before})

    def delete_topics(self, topics):
        self._admin.delete_topics(topics)

    def list_topics(self):
        return self._admin.list_topics()


run(Library())
