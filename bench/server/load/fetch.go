package main

import (
	"sync"

	"cordwood.dev/bench/load/measure"
)

// fetch fills the topic, then reads it again and again, one request in flight on each connection.
func fetch(o *options) measure.Result {
	addresses := createTopic(o)
	ends := fill(o, addresses)
	tallies := make([]*measure.Tally, o.connections)
	var readers sync.WaitGroup
	for i := range tallies {
		tallies[i] = &measure.Tally{}
		partition := i % o.partitions
		readers.Add(1)
		go func() {
			defer readers.Done()
			readPartition(o, tallies[i], addresses[partition], int32(partition), ends[partition])
		}()
	}
	// Reading moves what the page cache has: its volume needs no bound.
	o.window.BytesMax = 1 << 62
	r := o.window.Measure(tallies)
	readers.Wait()
	r.AddLatencies("", measure.AllLatencies(tallies))
	return r
}

func readPartition(o *options, t *measure.Tally, address string, partition int32, end int64) {
	c := dial(address)
	defer c.Close()
	var buf []byte
	for offset := int64(0); !o.window.IsOver(); {
		at := nanos()
		_, err := c.Write(fetchFrame(o.topic, partition, offset, 500, int32(o.fetchBytes)))
		check(err)
		buf, err = c.read(buf)
		check(err)
		took := nanos() - at
		records := fetchedRecords(buf)
		before := offset
		count := 0
		eachBatch(records, func(_, next int64, n int, _ []byte) {
			offset = next
			count += n
		})
		if offset == before {
			fail("partition %d: nothing at offset %d, and it ends at %d", partition, offset, end)
		}
		t.Requests.Add(1)
		t.Records.Add(int64(count))
		t.Bytes.Add(int64(len(records)))
		if o.window.IsMeasuring() {
			t.Latencies = append(t.Latencies, took)
		}
		if offset >= end {
			offset = 0
		}
	}
}

// fill writes fillBytes, dealt to the partitions, and returns the end offset of each.
func fill(o *options, addresses []string) []int64 {
	batch, count := batchOf(o.valueBytes, o.batchBytes, o.recordsMax)
	ends := make([]int64, o.partitions)
	each := max(1, o.fillBytes/int64(o.partitions)/int64(len(batch)))
	var writers sync.WaitGroup
	for p := range o.partitions {
		writers.Add(1)
		go func() {
			defer writers.Done()
			fillPartition(dial(addresses[p]), o.topic, int32(p), batch, each)
			ends[p] = each * int64(count)
		}()
	}
	writers.Wait()
	return ends
}

func fillPartition(c *conn, topic string, partition int32, batch []byte, n int64) {
	defer c.Close()
	parts := produceParts(topic, []partBatch{{partition, batch}})
	frame := requestOf(keyProduce, produceVersion, append(parts[0], parts[1]...))
	const inFlight = 8
	room := make(chan struct{}, inFlight)
	go func() {
		for range n {
			room <- struct{}{}
			_, err := c.Write(frame)
			check(err)
		}
	}()
	var buf []byte
	for range n {
		var err error
		buf, err = c.read(buf)
		check(err)
		checkProduced(buf, 1)
		<-room
	}
}
