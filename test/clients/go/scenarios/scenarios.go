package scenarios

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Places of a partition besides a time in milliseconds.
const (
	Earliest = -2
	Latest   = -1
)

// Library is what the scenarios ask of a client library. What fails ends the program.
type Library interface {
	// Create gives the error code of the server.
	Create(topic string) int
	PartitionCount(topic string) int
	// Produce writes records [first, first+count) and gives how many were acknowledged.
	Produce(topic, codec string, first, count int) int
	// Stream gives a function that writes one record; acknowledged is called once for each that was.
	Stream(topic string, acknowledged func()) (send func(n int), closeAll func())
	// ReadAll reads a topic from its start to its end, without a group.
	ReadAll(topic string) [][4]int64
	// Join makes a member of the group that is named as its topic; it commits what it reads if it is told to.
	Join(topic string, commitsAlways bool) Member
	Committed(group string) map[int32]int64
	Offsets(topic string, place int64) map[int32]int64
	Retention(topic string) string
	SetRetention(topic, ms string)
	// DeleteRecords says false when the library has no such call.
	DeleteRecords(topic string, partition int32, before int64) bool
	DeleteTopics(topics []string)
	ListTopics() []string
}

type Member interface {
	Read() *Reading
	Partitions() []int32
	Commit(next map[int32]int64)
	Leave()
}

// Run does what the program's arguments say.
func Run(library Library) {
	if Scenario == "crash" {
		crash(library)
	} else {
		journey(library)
	}
}

func journey(library Library) {
	none, grouped := Name+"-none", Name+"-group"
	topics := []string{grouped}
	for _, codec := range Codecs {
		topics = append(topics, Name+"-"+codec)
	}
	for _, topic := range topics {
		library.Create(topic)
	}
	again := library.Create(grouped)
	Tell("created", map[string]any{"partitions": library.PartitionCount(grouped), "again": again})

	for _, codec := range Codecs {
		topic := Name + "-" + codec
		Tell("produced", map[string]any{"codec": codec, "acknowledged": library.Produce(topic, codec, 0, Count)})
		Tell("read", map[string]any{"codec": codec, "records": library.ReadAll(topic)})
	}
	group(library, grouped)

	var times []map[int32]int64
	for _, n := range []int64{-1, 0, Count / 2, Count} {
		times = append(times, library.Offsets(none, T0+n))
	}
	Tell("offsets", map[string]any{"earliest": library.Offsets(none, Earliest),
		"latest": library.Offsets(none, Latest), "times": times})

	before := library.Retention(none)
	library.SetRetention(none, "86400000")
	Tell("config", map[string]any{"before": before, "after": library.Retention(none)})

	if library.DeleteRecords(none, 0, 100) {
		Tell("records-deleted", map[string]any{"earliest": library.Offsets(none, Earliest), "records": library.ReadAll(none)})
	}

	library.DeleteTopics(topics)
	listed := slices.DeleteFunc(library.ListTopics(), func(topic string) bool { return !strings.HasPrefix(topic, Name+"-") })
	Tell("topics-deleted", map[string]any{"listed": append([]string{}, listed...)})
}

func group(library Library, topic string) {
	first := library.Join(topic, false)
	library.Produce(topic, "lz4", 0, 4_000)
	Until("one member has read all", func() bool { return first.Read().Count() == 4_000 })
	first.Commit(first.Read().Next())
	Tell("group-first", map[string]any{"records": first.Read().Take()})

	second := library.Join(topic, false)
	Until("both own partitions", func() bool {
		mine, others := len(first.Partitions()), len(second.Partitions())
		return others > 0 && mine+others == Partitions
	})
	library.Produce(topic, "lz4", 4_000, 3_000)
	Until("two members have read all", func() bool { return first.Read().Count()+second.Read().Count() == 3_000 })
	first.Commit(first.Read().Next())
	second.Commit(second.Read().Next())
	Tell("group-shared", map[string]any{"partitions": [][]int32{first.Partitions(), second.Partitions()},
		"members": []any{first.Read().Take(), second.Read().Take()}})

	second.Leave()
	Until("the first one owns all", func() bool { return len(first.Partitions()) == Partitions })
	library.Produce(topic, "lz4", 7_000, 3_000)
	Until("it has read all", func() bool { return first.Read().Count() == 3_000 })
	Tell("group-left", map[string]any{"partitions": first.Partitions(), "records": first.Read().Take()})
	middle := first.Read().Next()
	for partition := range middle {
		middle[partition] -= 7
	}
	first.Commit(middle)
	first.Leave()
	Tell("group-committed", map[string]any{"committed": library.Committed(topic)})

	again := library.Join(topic, false)
	Until("it has read what was not committed", func() bool { return again.Read().Count() >= 7*Partitions })
	again.Leave()
	Tell("group-restarted", map[string]any{"records": again.Read().Take()})
}

func crash(library Library) {
	topic := Name + "-crash"
	library.Create(topic)
	first, second := library.Join(topic, true), library.Join(topic, true)
	Until("both own partitions", func() bool { return len(first.Partitions()) > 0 && len(second.Partitions()) > 0 })
	Tell("created", map[string]any{"partitions": Partitions})

	var acknowledged atomic.Int64
	send, closeAll := library.Stream(topic, func() { acknowledged.Add(1) })
	left := []int64{3_000, 6_500}
	for n := 0; n < Count; {
		for end := min(Count, n+250); n < end; n++ {
			send(n)
		}
		time.Sleep(25 * time.Millisecond)
		Until("all but 1,000 are acknowledged", func() bool { return int(acknowledged.Load()) >= n-1_000 })
		if len(left) > 0 && acknowledged.Load() >= left[0] {
			Tell("producing", map[string]any{"acknowledged": acknowledged.Load()})
			left = left[1:]
		}
	}
	closeAll()
	Tell("produced", map[string]any{"acknowledged": acknowledged.Load()})

	Until("the members have read all", func() bool { return Numbers(first.Read(), second.Read()) == Count })
	Until("all is committed", func() bool { return maps.Equal(library.Committed(topic), library.Offsets(topic, Latest)) })
	first.Leave()
	second.Leave()
	Tell("consumed", map[string]any{"members": []any{first.Read().Take(), second.Read().Take()}})
	Tell("committed", map[string]any{"committed": library.Committed(topic)})
	Tell("read", map[string]any{"records": library.ReadAll(topic)})
}
