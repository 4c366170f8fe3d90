"""confluent-kafka (librdkafka); ../facts.ts says what the program does and prints."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

import scenarios
from scenarios import EARLIEST, LATEST, PARTITIONS, Reading, bootstrap, headers, key, name, run, t0, until, value

common = {"bootstrap.servers": bootstrap, "client.id": name, "reconnect.backoff.max.ms": 500, "log_level": 3}


def check(error):
    if error is not None:
        raise KafkaException(error)


class Stream:
    def __init__(self, topic, codec):
        settings = {"enable.idempotence": True, "linger.ms": 5, "compression.type": codec}
        self._producer = Producer({**common, **settings})
        self._topic = topic
        self._acknowledged = 0

    def send(self, n):
        self._producer.produce(
            self._topic, value(n), key(n), timestamp=t0 + n, headers=headers(n), on_delivery=self._delivered
        )

    def _delivered(self, error, _):
        check(error)
        self._acknowledged += 1

    def poll(self):
        self._producer.poll(0)
        return self._acknowledged

    def close(self):
        self._producer.flush(60)
        return self._acknowledged


def add(reading, message):
    check(message.error())
    _, timestamp = message.timestamp()
    reading.add(
        message.partition(), message.offset(), timestamp, message.key(), message.value(), message.headers() or []
    )


class Member(scenarios.Member):
    def __init__(self, topic, commits_always):
        super().__init__(commits_always)
        self._topic = topic
        settings = {
            "group.id": topic,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 200,
        }
        self._consumer = Consumer({**common, **settings})
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked)

    def _assigned(self, _, partitions):
        self.owned = sorted(each.partition for each in partitions)

    def _revoked(self, _, partitions):
        self.owned = []
        self.reading.forget([each.partition for each in partitions])

    def poll(self):
        for message in self._consumer.consume(1_000, 0.05):
            # A server that is away is told as an error of the same list.
            if message.error() is None:
                add(self.reading, message)
            elif message.error().fatal():
                check(message.error())

    def commit_positions(self, positions):
        offsets = [TopicPartition(self._topic, each, offset) for each, offset in positions.items()]
        if offsets:
            for each in self._consumer.commit(offsets=offsets, asynchronous=False):
                check(each.error)

    def close(self):
        self._consumer.close()


class Library:
    def __init__(self):
        self._admin = AdminClient(common)

    def create(self, topic):
        try:
            self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
            return 0
        except KafkaException as error:
            return error.args[0].code()

    def partition_count(self, topic):
        return len(self._admin.list_topics(topic).topics[topic].partitions)

    def produce(self, topic, codec, numbers):
        stream = Stream(topic, codec)
        for n in numbers:
            stream.send(n)
        return stream.close()

    def stream(self, topic):
        return Stream(topic, "none")

    def read_all(self, topic):
        start, end = self.offsets(topic, EARLIEST), self.offsets(topic, LATEST)
        consumer = Consumer({**common, "group.id": f"{topic}-none", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, each, offset) for each, offset in start.items()])
        reading = Reading()

        def is_read():
            for message in consumer.consume(1_000, 0.05):
                add(reading, message)
            return reading.count() >= sum(end.values()) - sum(start.values())

        until("the topic is read", is_read)
        consumer.close()
        return reading.take()

    def join(self, topic, commits_always):
        return Member(topic, commits_always).start()

    def committed(self, group):
        consumer = Consumer({**common, "group.id": group})
        found = consumer.committed([TopicPartition(group, each) for each in range(PARTITIONS)], 10)
        consumer.close()
        return {each.partition: each.offset for each in found}

    def offsets(self, topic, place):
        spec = {EARLIEST: OffsetSpec.earliest(), LATEST: OffsetSpec.latest()}.get(place)
        asked = {
            TopicPartition(topic, each): spec or OffsetSpec.for_timestamp(place) for each in range(PARTITIONS)
        }
        answers = self._admin.list_offsets(asked)
        return {each.partition: answer.result().offset for each, answer in answers.items()}

    def retention(self, topic):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        return self._admin.describe_configs([resource])[resource].result()["retention.ms"].value

    def set_retention(self, topic, ms):
        set_to = ConfigEntry("retention.ms", ms, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[set_to])
        self._admin.incremental_alter_configs([resource])[resource].result()

    def delete_records(self, topic, partition, before):
        for answer in self._admin.delete_records([TopicPartition(topic, partition, before)]).values():
            assert answer.result().low_watermark == before

    def delete_topics(self, topics):
        for answer in self._admin.delete_topics(topics).values():
            answer.result()

    def list_topics(self):
        return list(self._admin.list_topics().topics)


run(Library())
