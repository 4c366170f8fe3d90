"""A client of grpcio: client.py ADDRESS. Prints one line a step: `ok NAME` or `FAILED NAME: reason`."""

import sys
import threading

import grpc
from cordwood.v1 import error_pb2, log_pb2, log_pb2_grpc, record_pb2, topic_pb2, topic_pb2_grpc
from google.protobuf import descriptor_pool
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TOPIC = "python"
channel = grpc.insecure_channel(sys.argv[1])
log = log_pb2_grpc.LogServiceStub(channel)
topics = topic_pb2_grpc.TopicServiceStub(channel)


def values(records):
    return [log_record.value for log_record in records]


def read(**request):
    return [record for message in log.Read(log_pb2.ReadRequest(topic=TOPIC, **request)) for record in message.records]


def health():
    stub = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def reflection():
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "cordwood.v1.LogService" in database.get_services()
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("cordwood.v1.LogService").FindMethodByName("Append")
    assert method.input_type.full_name == "cordwood.v1.AppendRequest"


def append_and_read():
    topics.CreateTopic(topic_pb2.CreateTopicRequest(topic=TOPIC, partition_count=2))
    records = [record_pb2.NewRecord(key=b"k", value=str(n).encode(), timestamp_ms=1000 + n) for n in range(20)]
    runs = log.Append(log_pb2.AppendRequest(topic=TOPIC, records=records)).runs
    assert sum(run.count for run in runs) == 20
    assert values(read()) == [str(n).encode() for n in range(20)]
    last = log.LastOfKey(log_pb2.LastOfKeyRequest(topic=TOPIC, key=b"k")).record
    assert last.value == b"19" and last.HasField("key")
    offsets = log.ListOffsets(log_pb2.ListOffsetsRequest(topic=TOPIC, time_ms=1010)).partitions
    assert sorted(one.end_offset for one in offsets) == [0, 20], offsets


def errors_with_details():
    try:
        log.Append(log_pb2.AppendRequest(topic="nowhere", records=[record_pb2.NewRecord(value=b"x")]))
        raise AssertionError("it was appended")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        detail = error_pb2.ErrorDetail(code="topic_not_found", is_retriable=True)
        assert detail.SerializeToString() in details


def gzip():
    request = log_pb2.AppendRequest(topic=TOPIC, partition=0, records=[record_pb2.NewRecord(value=b"z" * 50_000)])
    run = log.Append(request, compression=grpc.Compression.Gzip).runs[0]
    found = read(partitions=[0], **{"from": log_pb2.Bound(offset=run.offset)})
    assert values(found) == [b"z" * 50_000]


def append_stream():
    count = 2_000

    def requests():
        for n in range(count):
            record = record_pb2.NewRecord(value=f"s{n}".encode())
            yield log_pb2.AppendStreamRequest(topic=TOPIC if n == 0 else "", partition=1, records=[record])

    runs = [run for answer in log.AppendStream(requests()) for run in answer.runs]
    assert sum(run.count for run in runs) == count
    found = read(partitions=[1], **{"from": log_pb2.Bound(offset=runs[0].offset)})
    assert values(found) == [f"s{n}".encode() for n in range(count)]


def follow_and_cancel():
    follow = log.Read(log_pb2.ReadRequest(topic=TOPIC, follow=True, **{"from": log_pb2.Bound(end=Empty())}))
    assert len(next(follow).next) == 2
    log.Append(log_pb2.AppendRequest(topic=TOPIC, records=[record_pb2.NewRecord(value=b"news")]))
    assert values(next(follow).records) == [b"news"]
    follow.cancel()
    try:
        next(follow)
        raise AssertionError("it went on")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.CANCELLED


def deadline():
    try:
        request = log_pb2.ReadRequest(topic=TOPIC, follow=True, **{"from": log_pb2.Bound(end=Empty())})
        for _ in log.Read(request, timeout=0.1):
            pass
        raise AssertionError("it ended")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def many_threads():
    failures = []

    def work():
        try:
            for _ in range(20):
                log.Append(log_pb2.AppendRequest(topic=TOPIC, records=[record_pb2.NewRecord(value=b"t")]))
        except grpc.RpcError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


failed = 0
for step in [
    health,
    reflection,
    append_and_read,
    errors_with_details,
    gzip,
    append_stream,
    follow_and_cancel,
    deadline,
    many_threads,
]:
    name = step.__name__.replace("_", " ")
    try:
        step()
        print(f"ok {name}", flush=True)
    except Exception as error:  # whatever it is, the other steps are run, too
        failed += 1
        print(f"FAILED {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
sys.exit(1 if failed else 0)
