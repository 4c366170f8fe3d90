package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"cordwood.dev/bench/load/measure"
)

// What strains a server without a figure of its own: connections that idle, consumers that do not read.

// hold opens connections that say one thing each, and keeps them until the input ends.
func hold(o *options) measure.Result {
	start := time.Now()
	conns := make([]*conn, o.connections)
	for i := range conns {
		conns[i] = dial(o.bootstrap)
		conns[i].call(requestOf(keyApiVersions, apiVersionsVersion, nil))
	}
	fmt.Println("ready")
	waitForEnd()
	for _, c := range conns {
		// One that the server closed meanwhile fails here.
		c.call(requestOf(keyApiVersions, apiVersionsVersion, nil))
		c.Close()
	}
	return measure.Result{"secs": time.Since(start).Seconds()}
}

// stall fills a topic, asks for it many times over, and reads no answer.
func stall(o *options) measure.Result {
	addresses := createTopic(o)
	fill(o, addresses)
	fmt.Println("filled")
	conns := make([]*conn, o.connections)
	for i := range conns {
		conns[i] = dial(addresses[0])
		for range o.inFlight {
			_, err := conns[i].Write(fetchFrame(o.topic, 0, 0, 500, int32(o.fetchBytes)))
			check(err)
		}
	}
	fmt.Println("ready")
	waitForEnd()
	for _, c := range conns {
		c.Close()
	}
	return measure.Result{}
}

// ping asks each millisecond for what costs the server nothing, until the input ends: the longest answer shows
// how long the server did nothing else.
func ping(o *options) measure.Result {
	runtime.LockOSThread()
	exactTimers()
	c := dial(o.bootstrap)
	defer c.Close()
	frame := requestOf(keyApiVersions, apiVersionsVersion, nil)
	c.call(frame)
	fmt.Println("ready")
	ended := make(chan struct{})
	go func() {
		waitForEnd()
		close(ended)
	}()
	var all []int64
	for due := nanos(); ; due = max(due+int64(time.Millisecond), nanos()) {
		select {
		case <-ended:
			r := measure.Result{}
			r.AddLatencies("", all)
			return r
		default:
		}
		sleepUntil(due)
		at := nanos()
		c.call(frame)
		all = append(all, nanos()-at)
	}
}

// create makes a topic and does nothing with it.
func create(o *options) measure.Result {
	c := dial(o.bootstrap)
	defer c.Close()
	start := time.Now()
	askForTopic(c, o.topic, o.partitions, o.configs)
	return measure.Result{"secs": time.Since(start).Seconds()}
}

// touch writes one record to each partition of a topic that exists, and reads it.
func touch(o *options) measure.Result {
	start := time.Now()
	c := dial(o.bootstrap)
	defer c.Close()
	batch, _ := batchOf(o.valueBytes, 0, 1)
	for at := 0; at < o.partitions; at += o.perRequest {
		var batches []partBatch
		for p := at; p < min(at+o.perRequest, o.partitions); p++ {
			batches = append(batches, partBatch{int32(p), batch})
		}
		parts := produceParts(o.topic, batches)
		checkProduced(c.call(requestOf(keyProduce, produceVersion, append(parts[0], parts[1]...))), 1)
	}
	for p := range o.partitions {
		if len(fetchedRecords(c.call(fetchFrame(o.topic, int32(p), 0, 500, 1<<20)))) < len(batch) {
			fail("partition %d does not have what was written to it", p)
		}
	}
	return measure.Result{"secs": time.Since(start).Seconds()}
}

// write fills a topic with fillBytes.
func write(o *options) measure.Result {
	fill(o, createTopic(o))
	return measure.Result{}
}

func waitForEnd() {
	_, err := io.Copy(io.Discard, os.Stdin)
	check(err)
}
