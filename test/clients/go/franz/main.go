// franz-go; ../../facts.ts says what the program does and prints.
package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	. "cordwood.dev/clients/scenarios"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	ctx   = context.Background()
	admin *kadm.Client
)

var compression = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

type library struct{}

func main() {
	Start()
	admin = kadm.NewClient(client())
	Run(library{})
	admin.Close()
}

// member is one of the group that is named as its topic, polling in a goroutine of its own.
type member struct {
	reading *Reading
	client  *kgo.Client
	topic   string
	mutex   sync.Mutex
	owned   []int32
	ended   chan struct{}
	cancel  context.CancelFunc
}

func (library) Join(topic string, commitsAlways bool) Member {
	m := &member{reading: NewReading(), topic: topic, ended: make(chan struct{})}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		for _, partition := range partitions[topic] {
			m.reading.Forget(partition)
			m.owned = slices.DeleteFunc(m.owned, func(each int32) bool { return each == partition })
		}
	}
	m.client = client(
		kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			m.owned = append(m.owned, partitions[topic]...)
			slices.Sort(m.owned)
		}),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost),
	)
	polling, cancel := context.WithCancel(ctx)
	m.cancel = cancel
	go m.run(polling, commitsAlways)
	return m
}

func (m *member) run(polling context.Context, commitsAlways bool) {
	defer close(m.ended)
	for polling.Err() == nil {
		waiting, cancel := context.WithTimeout(polling, 50*time.Millisecond)
		m.client.PollFetches(waiting).EachRecord(func(record *kgo.Record) { m.reading.Add(read(record)) })
		cancel()
		if commitsAlways {
			m.tryCommit()
		}
		m.client.AllowRebalance()
	}
}

// tryCommit commits what was read; the server may be away: the next one commits more.
func (m *member) tryCommit() {
	if len(m.reading.Next()) == 0 {
		return
	}
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	m.client.CommitOffsetsSync(short, m.positions(m.reading.Next()), nil)
}

func (m *member) Commit(next map[int32]int64) {
	var failed error
	m.client.CommitOffsetsSync(ctx, m.positions(next), func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err == nil {
			for _, topic := range answer.Topics {
				for _, partition := range topic.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(partition.ErrorCode))
				}
			}
		}
	})
	Check(failed)
}

func (m *member) positions(next map[int32]int64) map[string]map[int32]kgo.EpochOffset {
	positions := map[int32]kgo.EpochOffset{}
	for partition, offset := range next {
		if slices.Contains(m.Partitions(), partition) {
			positions[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
	return map[string]map[int32]kgo.EpochOffset{m.topic: positions}
}

func (m *member) Read() *Reading { return m.reading }

func (m *member) Partitions() []int32 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.owned)
}

func (m *member) Leave() {
	m.cancel()
	<-m.ended
	m.client.Close()
}

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(Bootstrap), kgo.ClientID(Name),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.MetadataMinAge(250 * time.Millisecond)}, options...)...)
	Check(err)
	return made
}

func (library) Create(topic string) int {
	_, err := admin.CreateTopic(ctx, Partitions, 1, nil, topic)
	var known *kerr.Error
	if errors.As(err, &known) {
		return int(known.Code)
	}
	Check(err)
	return 0
}

func (library) PartitionCount(topic string) int {
	details, err := admin.ListTopics(ctx, topic)
	Check(err)
	return len(details[topic].Partitions)
}

func (library) Produce(topic, codec string, first, count int) (acknowledged int) {
	producer := client(kgo.ProducerBatchCompression(compression[codec]), kgo.ProducerLinger(5*time.Millisecond))
	defer producer.Close()
	var records []*kgo.Record
	for n := first; n < first+count; n++ {
		records = append(records, record(topic, n))
	}
	for _, result := range producer.ProduceSync(ctx, records...) {
		Check(result.Err)
		acknowledged++
	}
	return acknowledged
}

func (library) Stream(topic string, acknowledged func()) (send func(n int), closeAll func()) {
	producer := client(kgo.ProducerLinger(5 * time.Millisecond))
	send = func(n int) {
		producer.Produce(ctx, record(topic, n), func(_ *kgo.Record, err error) {
			Check(err)
			acknowledged()
		})
	}
	return send, func() {
		Check(producer.Flush(ctx))
		producer.Close()
	}
}

func record(topic string, n int) *kgo.Record {
	made := &kgo.Record{Topic: topic, Key: Key(n), Value: Value(n), Timestamp: Time(n)}
	for _, header := range Headers(n) {
		made.Headers = append(made.Headers, kgo.RecordHeader(header))
	}
	return made
}

func read(record *kgo.Record) Record {
	got := Record{Partition: record.Partition, Offset: record.Offset, Time: record.Timestamp, Key: record.Key, Value: record.Value}
	for _, header := range record.Headers {
		got.Headers = append(got.Headers, Header(header))
	}
	return got
}

func (library library) ReadAll(topic string) [][4]int64 {
	start, end := library.Offsets(topic, Earliest), library.Offsets(topic, Latest)
	consumer := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer consumer.Close()
	count := 0
	for partition := range end {
		count += int(end[partition] - start[partition])
	}
	reading := NewReading()
	Until("the topic is read", func() bool {
		waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		consumer.PollFetches(waiting).EachRecord(func(record *kgo.Record) { reading.Add(read(record)) })
		return reading.Count() >= count
	})
	return reading.Take()
}

func (library) Offsets(topic string, place int64) map[int32]int64 {
	// The call by time takes the negative ones too.
	listed, err := admin.ListOffsetsAfterMilli(ctx, place, topic)
	Check(errors.Join(err, listed.Error()))
	found := map[int32]int64{}
	listed.Each(func(each kadm.ListedOffset) { found[each.Partition] = each.Offset })
	return found
}

func (library) Committed(group string) map[int32]int64 {
	answers, err := admin.FetchOffsets(ctx, group)
	Check(errors.Join(err, answers.Error()))
	found := map[int32]int64{}
	answers.Each(func(each kadm.OffsetResponse) { found[each.Partition] = each.At })
	return found
}

func (library) Retention(topic string) string {
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	Check(err)
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" {
			return config.MaybeValue()
		}
	}
	return ""
}

func (library) SetRetention(topic, ms string) {
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &ms}}, topic)
	Check(err)
	for _, each := range altered {
		Check(each.Err)
	}
}

func (library) DeleteRecords(topic string, partition int32, before int64) bool {
	deletion := kadm.Offsets{}
	deletion.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	deleted, err := admin.DeleteRecords(ctx, deletion)
	Check(errors.Join(err, deleted.Error()))
	return true
}

func (library) DeleteTopics(topics []string) {
	deleted, err := admin.DeleteTopics(ctx, topics...)
	Check(errors.Join(err, deleted.Error()))
}

func (library) ListTopics() []string {
	topics, err := admin.ListTopics(ctx)
	Check(err)
	return topics.Names()
}
