// segmentio/kafka-go; ../../facts.ts says what the program does and prints. The library has no idempotent
// producer, no call to delete records, and its readers do not tell what they own: the group is asked.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	. "cordwood.dev/clients/scenarios"
	"github.com/segmentio/kafka-go"
)

var ctx = context.Background()

var compression = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

type library struct{ client *kafka.Client }

func main() {
	Start()
	Run(library{&kafka.Client{Addr: kafka.TCP(Bootstrap)}})
}

func (l library) Create(topic string) int {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: Partitions, ReplicationFactor: 1}
	answer, err := l.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	Check(err)
	var code kafka.Error
	if errors.As(answer.Errors[topic], &code) {
		return int(code)
	}
	Check(answer.Errors[topic])
	return 0
}

func (l library) PartitionCount(topic string) int {
	answer, err := l.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	Check(err)
	Check(answer.Topics[0].Error)
	return len(answer.Topics[0].Partitions)
}

// retry asks again on another connection: those of the server that was killed fail once each.
func retry[T any](ask func() (T, error)) (answer T) {
	Until("the server answers", func() (isAnswered bool) {
		var err error
		answer, err = ask()
		return err == nil
	})
	return answer
}

func writer(codec string) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(Bootstrap), Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 1_000, BatchTimeout: 5 * time.Millisecond, Compression: compression[codec]}
}

func message(topic string, n int) kafka.Message {
	made := kafka.Message{Topic: topic, Key: Key(n), Value: Value(n), Time: Time(n), WriterData: n}
	for _, header := range Headers(n) {
		made.Headers = append(made.Headers, kafka.Header(header))
	}
	return made
}

func (l library) Produce(topic, codec string, first, count int) int {
	producer := writer(codec)
	var messages []kafka.Message
	for n := first; n < first+count; n++ {
		messages = append(messages, message(topic, n))
	}
	Check(producer.WriteMessages(ctx, messages...))
	Check(producer.Close())
	return count
}

// Stream writes what failed once more: after ten attempts the library leaves that to its user.
func (l library) Stream(topic string, acknowledged func()) (send func(n int), closeAll func()) {
	producer := writer("none")
	producer.Async = true
	var missing atomic.Int64
	var write func(messages []kafka.Message)
	write = func(messages []kafka.Message) {
		for producer.WriteMessages(ctx, messages...) != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	producer.Completion = func(messages []kafka.Message, err error) {
		if err == nil {
			for range messages {
				missing.Add(-1)
				acknowledged()
			}
			return
		}
		var again []kafka.Message
		for _, each := range messages {
			again = append(again, message(topic, each.WriterData.(int)))
		}
		go write(again)
	}
	send = func(n int) {
		missing.Add(1)
		write([]kafka.Message{message(topic, n)})
	}
	return send, func() {
		Until("all are acknowledged", func() bool { return missing.Load() == 0 })
		Check(producer.Close())
	}
}

func add(reading *Reading, got kafka.Message) {
	record := Record{Partition: int32(got.Partition), Offset: got.Offset, Time: got.Time, Key: got.Key, Value: got.Value}
	for _, header := range got.Headers {
		record.Headers = append(record.Headers, Header(header))
	}
	reading.Add(record)
}

func (l library) ReadAll(topic string) [][4]int64 {
	start, end := l.Offsets(topic, Earliest), l.Offsets(topic, Latest)
	reading := NewReading()
	for partition := range int32(Partitions) {
		if start[partition] == end[partition] {
			continue
		}
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, Topic: topic, Partition: int(partition),
			MinBytes: 1, MaxBytes: 10_000_000, MaxWait: 100 * time.Millisecond})
		for reading.Next()[partition] < end[partition] {
			got, err := reader.ReadMessage(ctx)
			Check(err)
			add(reading, got)
		}
		Check(reader.Close())
	}
	return reading.Take()
}

type member struct {
	library  library
	topic    string
	clientID string
	reader   *kafka.Reader
	reading  *Reading
	cancel   context.CancelFunc
	ended    chan struct{}
	unsaved  []kafka.Message
}

var joined atomic.Int64

func (l library) Join(topic string, commitsAlways bool) Member {
	clientID := fmt.Sprintf("%s-%d", Name, joined.Add(1))
	m := &member{library: l, topic: topic, clientID: clientID, reading: NewReading(), ended: make(chan struct{})}
	m.reader = kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, GroupID: topic, Topic: topic,
		Dialer: &kafka.Dialer{ClientID: clientID, Timeout: 3 * time.Second}, MinBytes: 1, MaxBytes: 10_000_000,
		MaxWait: 100 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 100 * time.Millisecond, StartOffset: kafka.FirstOffset})
	polling, cancel := context.WithCancel(ctx)
	m.cancel = cancel
	go m.run(polling, commitsAlways)
	return m
}

func (m *member) run(polling context.Context, commitsAlways bool) {
	defer close(m.ended)
	for polling.Err() == nil {
		waiting, cancel := context.WithTimeout(polling, 50*time.Millisecond)
		got, err := m.reader.FetchMessage(waiting)
		cancel()
		if err == nil {
			add(m.reading, got)
			m.unsaved = append(m.unsaved, got)
		}
		if commitsAlways && (err != nil || len(m.unsaved) >= 200) {
			m.tryCommit()
		}
	}
}

// tryCommit commits what was read; the server may be away: the next one commits more.
func (m *member) tryCommit() {
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if m.reader.CommitMessages(short, m.unsaved...) == nil {
		m.unsaved = nil
	}
}

func (m *member) Read() *Reading { return m.reading }

func (m *member) Partitions() []int32 {
	answer := retry(func() (*kafka.DescribeGroupsResponse, error) {
		return m.library.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{m.topic}})
	})
	owned := []int32{}
	for _, each := range answer.Groups[0].Members {
		if each.ClientID == m.clientID {
			for _, topic := range each.MemberAssignments.Topics {
				for _, partition := range topic.Partitions {
					owned = append(owned, int32(partition))
				}
			}
		}
	}
	slices.Sort(owned)
	return owned
}

func (m *member) Commit(next map[int32]int64) {
	for _, partition := range m.Partitions() {
		if offset, isRead := next[partition]; isRead {
			last := kafka.Message{Topic: m.topic, Partition: int(partition), Offset: offset - 1}
			Check(m.reader.CommitMessages(ctx, last))
		}
	}
}

func (m *member) Leave() {
	m.cancel()
	<-m.ended
	Check(m.reader.Close())
}

func (l library) Offsets(topic string, place int64) map[int32]int64 {
	var asked []kafka.OffsetRequest
	for partition := range Partitions {
		asked = append(asked, kafka.OffsetRequest{Partition: partition, Timestamp: place})
	}
	answer := retry(func() (*kafka.ListOffsetsResponse, error) {
		return l.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
	})
	found := map[int32]int64{}
	for _, each := range answer.Topics[topic] {
		Check(each.Error)
		found[int32(each.Partition)] = each.LastOffset
		if place == Earliest {
			found[int32(each.Partition)] = each.FirstOffset
		}
		for offset := range each.Offsets {
			found[int32(each.Partition)] = offset
		}
	}
	return found
}

func (l library) Committed(group string) map[int32]int64 {
	answer := retry(func() (*kafka.OffsetFetchResponse, error) {
		return l.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{group: {0, 1, 2}}})
	})
	Check(answer.Error)
	found := map[int32]int64{}
	for _, each := range answer.Topics[group] {
		Check(each.Error)
		found[int32(each.Partition)] = each.CommittedOffset
	}
	return found
}

func (l library) Retention(topic string) string {
	answer, err := l.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
	Check(err)
	Check(answer.Resources[0].Error)
	return answer.Resources[0].ConfigEntries[0].ConfigValue
}

func (l library) SetRetention(topic, ms string) {
	set := kafka.IncrementalAlterConfigsRequestConfig{Name: "retention.ms", Value: ms, ConfigOperation: kafka.ConfigOperationSet}
	answer, err := l.client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic,
			ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{set}}}})
	Check(err)
	Check(answer.Resources[0].Error)
}

func (l library) DeleteRecords(string, int32, int64) bool { return false }

func (l library) DeleteTopics(topics []string) {
	answer, err := l.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: topics})
	Check(err)
	for _, err := range answer.Errors {
		Check(err)
	}
}

func (l library) ListTopics() (names []string) {
	// The client answers from a cache, a connection does not.
	connection, err := kafka.Dial("tcp", Bootstrap)
	Check(err)
	defer connection.Close()
	partitions, err := connection.ReadPartitions()
	Check(err)
	for _, each := range partitions {
		names = append(names, each.Topic)
	}
	return names
}
