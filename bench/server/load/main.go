// load drives a broker of the Kafka protocol with frames that it made beforehand, so that nearly all work of a
// run is the broker's. It prints one line of JSON. ../run.ts calls it; `load MODE -h` lists what can be set.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"cordwood.dev/bench/load/measure"
)

type options struct {
	bootstrap   string
	topic       string
	configs     map[string]string
	partitions  int
	perRequest  int
	connections int
	inFlight    int
	valueBytes  int
	batchBytes  int
	recordsMax  int
	fetchBytes  int
	fillBytes   int64
	rate        int
	pause       time.Duration
	isDropped   bool
	window      measure.Window
}

var modes = map[string]func(*options) measure.Result{
	"produce": produce, "fetch": fetch, "latency": latency,
	"create": create, "touch": touch, "write": write,
	"hold": hold, "stall": stall, "ping": ping,
}

func main() {
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fail("usage: load produce|fetch|latency|create|touch|write|hold|stall|ping [flags]")
	}
	// The collector would take processor time from the broker.
	debug.SetGCPercent(800)
	o := &options{configs: map[string]string{}}
	parse(o, os.Args[2:])
	r := modes[os.Args[1]](o)
	if o.isDropped {
		deleteTopic(o.bootstrap, o.topic)
	}
	line, err := json.Marshal(r)
	check(err)
	fmt.Println(string(line))
}

func parse(o *options, args []string) {
	f := flag.NewFlagSet("load", flag.ExitOnError)
	f.StringVar(&o.bootstrap, "bootstrap", "127.0.0.1:9092", "where the broker listens")
	f.StringVar(&o.topic, "topic", fmt.Sprintf("load-%d", time.Now().UnixNano()), "the topic, which is made")
	f.Func("config", "name=value of the topic; repeatable", func(text string) error {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("expected name=value")
		}
		o.configs[name] = value
		return nil
	})
	f.IntVar(&o.partitions, "partitions", 1, "partitions of the topic")
	f.IntVar(&o.perRequest, "per-request", 1, "partitions in one Produce request, a batch for each")
	f.IntVar(&o.connections, "connections", 1, "connections")
	f.IntVar(&o.inFlight, "in-flight", 5, "requests in flight on each connection")
	f.IntVar(&o.valueBytes, "value", 100, "bytes of each record's value")
	f.IntVar(&o.batchBytes, "batch", 16384, "most bytes of a batch; it has one record at least")
	f.IntVar(&o.recordsMax, "records", 1<<30, "most records of a batch")
	f.IntVar(&o.fetchBytes, "fetch", 1_000_000, "most bytes of a fetch")
	f.Int64Var(&o.fillBytes, "fill", 256<<20, "bytes that are written before they are read")
	f.IntVar(&o.rate, "rate", 0, "latency: messages a second; 0 is one at a time")
	f.DurationVar(&o.pause, "pause", 0, "latency, one at a time: rest after each message")
	f.BoolVar(&o.isDropped, "drop", false, "delete the topic at the end")
	f.IntVar(&o.window.Pid, "pid", 0, "process of the broker, whose processor time is read")
	f.DurationVar(&o.window.Warm, "warm", 500*time.Millisecond, "warm-up that is not measured")
	f.DurationVar(&o.window.Length, "length", 2*time.Second, "what is measured")
	f.Int64Var(&o.window.BytesMax, "bytes", 1_000_000_000, "produce: most bytes, warm-up included")
	check(f.Parse(args))
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...)
	os.Exit(1)
}
