// grpc drives a server's gRPC side: grpc unary|append|read [flags]. Requests are bytes that it made beforehand, so
// that nearly all work of a run is gRPC's and the server's. It prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

type options struct {
	address     string
	topic       string
	connections int
	inFlight    int
	records     int
	valueBytes  int
	fill        int
	pid         int
	warm        time.Duration
	length      time.Duration
}

// What ../run.ts reads.
type result struct {
	Secs      float64 `json:"secs"`
	Calls     int64   `json:"calls"`
	Records   int64   `json:"records"`
	Bytes     int64   `json:"bytes"`
	ServerCPU float64 `json:"serverCpu"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

const service = "/cordwood.v1.LogService/"

func main() {
	modes := map[string]func(*options, []*grpc.ClientConn) result{"unary": unary, "append": appendStream, "read": read}
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fail("usage: grpc unary|append|read [flags]")
	}
	o := &options{}
	f := flag.NewFlagSet("grpc", flag.ExitOnError)
	f.StringVar(&o.address, "at", "127.0.0.1:8080", "where the server listens")
	f.StringVar(&o.topic, "topic", "load", "a topic that is there, of one partition")
	f.IntVar(&o.connections, "connections", 1, "connections")
	f.IntVar(&o.inFlight, "in-flight", 64, "calls of each connection, or messages of the stream, that are not answered")
	f.IntVar(&o.records, "records", 1, "records in one call or message")
	f.IntVar(&o.valueBytes, "value", 100, "bytes of each record's value")
	f.IntVar(&o.fill, "fill", 2_000_000, "read: records that are appended before they are read")
	f.IntVar(&o.pid, "pid", 0, "of the server, to know its processor time")
	f.DurationVar(&o.warm, "warm", time.Second, "before what is measured")
	f.DurationVar(&o.length, "length", 2*time.Second, "of what is measured")
	check(f.Parse(os.Args[2:]))
	debug.SetGCPercent(800)
	var connections []*grpc.ClientConn
	for range o.connections {
		connection, err := grpc.NewClient(o.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})), grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<22))
		check(err)
		connections = append(connections, connection)
	}
	line, err := json.Marshal(modes[os.Args[1]](o, connections))
	check(err)
	fmt.Println(string(line))
}

// raw takes and gives messages as the bytes that they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append((*message.(*[]byte))[:0], data...)
	return nil
}

func (o *options) request() []byte {
	record := protowire.AppendTag(nil, 2, protowire.BytesType)
	record = protowire.AppendBytes(record, make([]byte, o.valueBytes))
	request := protowire.AppendTag(nil, 1, protowire.BytesType)
	request = protowire.AppendString(request, o.topic)
	for range o.records {
		request = protowire.AppendTag(request, 3, protowire.BytesType)
		request = protowire.AppendBytes(request, record)
	}
	return request
}

// window counts what falls into the measured time.
type window struct {
	begin, end       time.Time
	startCPU, endCPU float64
	// Once both are known: the last call may end before the timer of the end has run.
	closed chan struct{}
}

func (o *options) window() *window {
	begin := time.Now().Add(o.warm)
	w := &window{begin: begin, end: begin.Add(o.length), closed: make(chan struct{})}
	time.AfterFunc(o.warm, func() { w.startCPU = cpuOf(o.pid) })
	time.AfterFunc(o.warm+o.length, func() {
		w.endCPU = cpuOf(o.pid)
		close(w.closed)
	})
	return w
}

func (w *window) has(at time.Time) bool { return !at.Before(w.begin) && at.Before(w.end) }

func (w *window) isOver() bool { return !time.Now().Before(w.end) }

func unary(o *options, connections []*grpc.ClientConn) result {
	request := o.request()
	w := o.window()
	var mutex sync.Mutex
	var latencies []time.Duration
	var workers sync.WaitGroup
	for _, connection := range connections {
		for range o.inFlight {
			workers.Go(func() {
				var mine []time.Duration
				var answer []byte
				for !w.isOver() {
					start := time.Now()
					check(connection.Invoke(context.Background(), service+"Append", &request, &answer))
					if w.has(time.Now()) {
						mine = append(mine, time.Since(start))
					}
				}
				mutex.Lock()
				latencies = append(latencies, mine...)
				mutex.Unlock()
			})
		}
	}
	workers.Wait()
	calls := int64(len(latencies))
	return o.result(w, calls, calls*int64(o.records), latencies)
}

func appendStream(o *options, connections []*grpc.ClientConn) result {
	request := o.request()
	stream := o.stream(connections[0], "AppendStream", true)
	slots := make(chan struct{}, o.inFlight)
	w := o.window()
	go func() {
		for !w.isOver() {
			slots <- struct{}{}
			check(stream.SendMsg(&request))
		}
		check(stream.CloseSend())
	}()
	var records, pending int64
	var answer []byte
	for {
		err := stream.RecvMsg(&answer)
		if errors.Is(err, io.EOF) {
			break
		}
		check(err)
		count := acknowledged(answer)
		if w.has(time.Now()) {
			records += count
		}
		for pending += count; pending >= int64(o.records); pending -= int64(o.records) {
			<-slots
		}
	}
	return o.result(w, records/int64(o.records), records, nil)
}

// acknowledged adds up the counts of the runs of an AppendStreamResponse.
func acknowledged(answer []byte) (count int64) {
	for len(answer) > 0 {
		_, _, n := protowire.ConsumeTag(answer)
		run, m := protowire.ConsumeBytes(answer[n:])
		answer = answer[n+m:]
		for len(run) > 0 {
			number, _, n := protowire.ConsumeTag(run)
			value, m := protowire.ConsumeVarint(run[n:])
			run = run[n+m:]
			if number == 3 {
				count += int64(value)
			}
		}
	}
	return count
}

func read(o *options, connections []*grpc.ClientConn) result {
	fill := *o
	fill.records = 500
	request := fill.request()
	var answer []byte
	for appended := 0; appended < o.fill; appended += fill.records {
		check(connections[0].Invoke(context.Background(), service+"Append", &request, &answer))
	}
	question := protowire.AppendTag(nil, 1, protowire.BytesType)
	question = protowire.AppendString(question, o.topic)
	var records atomic.Int64
	w := o.window()
	for !w.isOver() {
		stream := o.stream(connections[0], "Read", false)
		check(stream.SendMsg(&question))
		check(stream.CloseSend())
		for {
			err := stream.RecvMsg(&answer)
			if errors.Is(err, io.EOF) || w.isOver() {
				break
			}
			check(err)
			if w.has(time.Now()) {
				records.Add(countRecords(answer))
			}
		}
	}
	return o.result(w, records.Load(), records.Load(), nil)
}

func countRecords(answer []byte) (count int64) {
	for len(answer) > 0 {
		number, _, n := protowire.ConsumeTag(answer)
		_, m := protowire.ConsumeBytes(answer[n:])
		answer = answer[n+m:]
		if number == 1 {
			count++
		}
	}
	return count
}

func (o *options) stream(connection *grpc.ClientConn, method string, fromClient bool) grpc.ClientStream {
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: fromClient}
	stream, err := connection.NewStream(context.Background(), description, service+method)
	check(err)
	return stream
}

func (o *options) result(w *window, calls, records int64, latencies []time.Duration) result {
	r := result{Secs: o.length.Seconds(), Calls: calls, Records: records, Bytes: records * int64(o.valueBytes)}
	<-w.closed
	r.ServerCPU = w.endCPU - w.startCPU
	slices.Sort(latencies)
	if len(latencies) > 0 {
		r.P50 = latencies[len(latencies)/2].Seconds() * 1e3
		r.P99 = latencies[len(latencies)*99/100].Seconds() * 1e3
	}
	return r
}

// cpuOf gives the processor seconds of a process; 0 where it is not known.
func cpuOf(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
